"""The memory bank: synthetic images as uint8 in a preallocated ring, on the device or, if too large, on disk."""

import os
import tempfile
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nayer.core.errors import InputError
from nayer.core.tensors import own_storage
from nayer.synthesis.sample import SyntheticSample

# Floor of the divergence, so that an image the student has mastered is still drawn now and then.
LEAST_DIVERGENCE = 1e-4


def reserve(file: int, size: int) -> None:
    """Give an open file its full size, with the disk space allocated where the system supports that."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)


def on_disk(shape: tuple[int, ...], folder: Path) -> Tensor:
    """A uint8 tensor in an unnamed memory-mapped file, which the system frees when the process ends.

    Raises:
        InputError: the folder has no room for the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    size = prod(shape)
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        try:
            # Allocate the space now: a disk that fills up later would kill the process in the middle of a write.
            reserve(file.fileno(), size)
        except OSError as error:
            raise InputError(
                f"runtime.memory_gib: the images need a file of {size / 2**30:.1f} GiB in '{folder}' "
                f"({error.strerror}); make room, or lower distill.memory."
            ) from error
        return torch.from_file(file.name, shared=True, size=size, dtype=torch.uint8).view(shape)


class MemoryBank:
    """Keeps the newest `capacity` images (C, H, W) with their labels, and draws batches without replacement.

    With a `spill` folder the images lie in a file there instead of on the device. With a `priority` above 0 each image
    is drawn with a probability proportional to that power of its divergence when last seen (SSD-KD, CVPR 2024); the
    weights are stored as logarithms (`chances`), as the powers may exceed the range of a float.
    """

    def __init__(
        self,
        capacity: int,
        shape: tuple[int, int, int],
        device: torch.device,
        spill: Path | None = None,
        priority: float = 0.0,
    ) -> None:
        whole = (capacity, *shape)
        self.images = on_disk(whole, spill) if spill else torch.zeros(whole, dtype=torch.uint8, device=device)
        self.labels = torch.zeros(capacity, dtype=torch.long, device=device)
        self.synthetic = torch.zeros(capacity, dtype=torch.bool, device=device)
        self.capacity = capacity
        self.priority = priority
        self.chances = torch.zeros(capacity if priority else 0, device=device)
        self._order = torch.empty(0, dtype=torch.long, device=device)
        self.added = 0

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def clear(self) -> None:
        """Empty the bank."""
        self.added = 0
        self._order = self._order[:0]
        self.chances.zero_()

    def add(self, images: Tensor, labels: Tensor, synthetic: bool = True) -> Tensor:
        """Store uint8 images (N, C, H, W) with labels (N,) over the oldest ones, and reshuffle for the next draws.

        Leaves are not `synthetic`: a sample leaves them out. Returns the slots of the images that were kept: all, or
        the newest `capacity` if there are more.
        """
        slots = (torch.arange(len(images), device=self.labels.device) + self.added) % self.capacity
        keep = slice(max(0, len(images) - self.capacity), None)
        self.images[slots[keep].to(self.images.device)] = images[keep].to(self.images.device)
        self.labels[slots[keep]] = labels[keep]
        self.synthetic[slots[keep]] = synthetic
        if self.priority:
            # A new image is as likely as the likeliest one until the student has seen it.
            self.chances[slots[keep]] = self.chances[: max(1, len(self))].max()
        self.added += len(images)
        self._order = self._order[:0]
        return slots[keep]

    def draw(self, count: int) -> Tensor:
        """Slots of `count` images, fewer if the bank is smaller.

        Without a priority, no image is drawn twice before all have been, except that a remainder smaller than a batch
        is dropped and everything reshuffled. With a priority, images are drawn by weight, at most once per batch (the
        largest values of log weight + Gumbel noise).
        """
        count = min(count, len(self))
        if self.priority:
            chances = self.chances[: len(self)]
            gumbel = -torch.empty_like(chances).exponential_().log()
            return (chances + gumbel).topk(count, sorted=False).indices
        if len(self._order) < count:
            self._order = torch.randperm(len(self), device=self.labels.device)
        chosen, self._order = self._order[:count], self._order[count:]
        return chosen

    def weigh(self, slots: Tensor, divergences: Tensor) -> None:
        """Set the priority of the images in these slots from the divergences (N,) of student and teacher on them."""
        if self.priority:
            # NaN counts as the lowest divergence; the training loop has its own check for it.
            self.chances[slots] = self.priority * divergences.nan_to_num().clamp(min=LEAST_DIVERGENCE).log()

    def take(self, slots: Tensor) -> Tensor:
        """The images in these slots, on the device."""
        return self.images[slots.to(self.images.device)].to(self.labels.device)

    def sample(self, count: int, classes: int) -> SyntheticSample:
        """Up to `count` of the newest synthetic images on the CPU, balanced and sorted by class."""
        labels = self.labels[: len(self)]
        age = (self.added - 1 - torch.arange(len(self), device=labels.device)) % self.capacity
        newest_first = age.argsort()
        newest_first = newest_first[self.synthetic[newest_first]]
        each = max(1, count // classes)
        chosen = torch.cat([newest_first[labels[newest_first] == label][:each] for label in range(classes)])[:count]
        return SyntheticSample(self.take(chosen).cpu(), self.labels[chosen].cpu())

    def state_dict(self) -> dict[str, Any]:
        """The filled part of the ring, the counter of added images, the draw order and the priorities."""
        rings = {"images": self.images, "labels": self.labels, "synthetic": self.synthetic, "chances": self.chances}
        filled = {name: own_storage(ring[: len(self)]) for name, ring in rings.items()}
        return {**filled, "added": self.added, "order": self._order}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` of a bank of the same capacity returned."""
        filled = len(state["images"])
        self.images[:filled] = state["images"]
        self.labels[:filled] = state["labels"]
        self.synthetic[:filled] = state["synthetic"]
        self.added = state["added"]
        self._order = state["order"].to(self.labels.device, copy=True)
        self.chances[: len(state["chances"])] = state["chances"]
