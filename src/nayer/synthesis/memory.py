"""The memory bank: synthetic images as uint8 in a preallocated ring, on the device or, if too large, on disk."""

import os
import tempfile
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nayer.core.errors import InputError
from nayer.synthesis.sample import SyntheticSample

# An image that the student has understood comes again, if seldom.
LEAST_DIVERGENCE = 1e-4


def reserve(file: int, size: int) -> None:
    """Give an open file its full size on disk, where the system can promise that."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)


def on_disk(shape: tuple[int, ...], folder: Path) -> Tensor:
    """A uint8 tensor in a file without a name: the system reads and writes its pages, and frees it with the process.

    Raises:
        InputError: the folder has no room for it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    size = prod(shape)
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        try:
            # Taken now: a disk that fills up later would end the process in the middle of a write.
            reserve(file.fileno(), size)
        except OSError as error:
            raise InputError(
                f"runtime.memory_gib: the images need a file of {size / 2**30:.1f} GiB in '{folder}' "
                f"({error.strerror}); make room, or lower distill.memory."
            ) from error
        return torch.from_file(file.name, shared=True, size=size, dtype=torch.uint8).view(shape)


class MemoryBank:
    """Keeps the newest `capacity` images (C, H, W) with their labels, and deals them out without replacement.

    With a `spill` folder the images lie in a file there instead of on the device. With a `priority` above 0 a batch is
    drawn by chance, each image by that power of its divergence when last seen (SSD-KD, CVPR 2024); the logarithms of
    these chances are kept, as the powers may be beyond what a float holds.
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
        self.capacity = capacity
        self.priority = priority
        self.chances = torch.zeros(capacity if priority else 0, device=device)
        self._order = torch.empty(0, dtype=torch.long, device=device)
        self.added = 0

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def clear(self) -> None:
        """As if none had been added."""
        self.added = 0
        self._order = self._order[:0]
        self.chances.zero_()

    def add(self, images: Tensor, labels: Tensor) -> Tensor:
        """Store uint8 images (N, C, H, W) with labels (N,) over the oldest, and shuffle afresh for the next draws.

        Returns the slots of those that stay: all, or the newest where the ring holds fewer.
        """
        slots = (torch.arange(len(images), device=self.labels.device) + self.added) % self.capacity
        keep = slice(max(0, len(images) - self.capacity), None)
        self.images[slots[keep].to(self.images.device)] = images[keep].to(self.images.device)
        self.labels[slots[keep]] = labels[keep]
        if self.priority:
            # As likely as the likeliest, until the student has seen it.
            self.chances[slots[keep]] = self.chances[: max(1, len(self))].max()
        self.added += len(images)
        self._order = self._order[:0]
        return slots[keep]

    def draw(self, count: int) -> Tensor:
        """Slots of `count` images, fewer if the bank is smaller.

        None comes twice before all have, but for a rest that makes no batch, which is shuffled in again; with a
        priority, each comes by its chance and once a batch (the greatest of log chance + Gumbel noise).
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
        """How far the student was from its teacher (N,) on the images in these slots, for the next draws."""
        if self.priority:
            # What is no number counts as least: the loop's own check answers it.
            self.chances[slots] = self.priority * divergences.nan_to_num().clamp(min=LEAST_DIVERGENCE).log()

    def take(self, slots: Tensor) -> Tensor:
        """The images in these slots, on the device."""
        return self.images[slots.to(self.images.device)].to(self.labels.device)

    def sample(self, count: int, classes: int) -> SyntheticSample:
        """Up to `count` of the newest images, balanced by class and sorted by it, on the CPU."""
        labels = self.labels[: len(self)]
        age = (self.added - 1 - torch.arange(len(self), device=labels.device)) % self.capacity
        newest_first = age.argsort()
        each = max(1, count // classes)
        chosen = torch.cat([newest_first[labels[newest_first] == label][:each] for label in range(classes)])[:count]
        return SyntheticSample(self.take(chosen).cpu(), self.labels[chosen].cpu())

    def state_dict(self) -> dict[str, Any]:
        """The filled part of the ring, not a copy, the counter, and what is still to be dealt."""
        filled = len(self)
        return {
            # A slice is written with all that it is a slice of: a fuller file is less trouble than a copy in memory.
            "images": self.images[:filled],
            "labels": self.labels[:filled],
            "added": self.added,
            "order": self._order,
            "chances": self.chances[:filled],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave, from a bank of the same capacity."""
        filled = len(state["images"])
        self.images[:filled] = state["images"]
        self.labels[:filled] = state["labels"]
        self.added = state["added"]
        self._order = state["order"].to(self.labels.device, copy=True)
        self.chances[: len(state["chances"])] = state["chances"]
