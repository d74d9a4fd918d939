"""The memory bank: synthetic images as uint8 in a preallocated ring on the device."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nayer.files import load_tensors, save_tensors


class MemoryBank:
    """Keeps the newest `capacity` images (C, H, W) with their labels, and deals them out without replacement."""

    def __init__(self, capacity: int, shape: tuple[int, int, int], device: torch.device) -> None:
        self.images = torch.zeros((capacity, *shape), dtype=torch.uint8, device=device)
        self.labels = torch.zeros(capacity, dtype=torch.long, device=device)
        self.capacity = capacity
        self.added = 0
        self._order = torch.empty(0, dtype=torch.long, device=device)

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, images: Tensor, labels: Tensor) -> Tensor:
        """Store uint8 images (N, C, H, W) with labels (N,) over the oldest, and shuffle afresh for the next draws.

        Returns the slots of those that stay: all, or the newest where the ring holds fewer.
        """
        slots = (torch.arange(len(images), device=self.images.device) + self.added) % self.capacity
        keep = slice(max(0, len(images) - self.capacity), None)
        self.images[slots[keep]] = images[keep]
        self.labels[slots[keep]] = labels[keep]
        self.added += len(images)
        self._order = self._order[:0]
        return slots[keep]

    def draw(self, count: int) -> Tensor:
        """Slots of `count` images, fewer if the bank is smaller; none comes twice before all have come."""
        count = min(count, len(self))
        if len(self._order) < count:
            self._order = torch.randperm(len(self), device=self.images.device)
        chosen, self._order = self._order[:count], self._order[count:]
        return chosen

    def sample(self, count: int, classes: int) -> "SyntheticSample":
        """Up to `count` of the newest images, balanced by class and sorted by it, on the CPU."""
        labels = self.labels[: len(self)]
        age = (self.added - 1 - torch.arange(len(self), device=labels.device)) % self.capacity
        newest_first = age.argsort()
        each = max(1, count // classes)
        chosen = torch.cat([newest_first[labels[newest_first] == label][:each] for label in range(classes)])[:count]
        return SyntheticSample(self.images[chosen].cpu(), self.labels[chosen].cpu())

    def state_dict(self) -> dict[str, Any]:
        """The filled part of the ring, the counter, and what is still to be dealt."""
        filled = len(self)
        return {
            "images": self.images[:filled],
            "labels": self.labels[:filled],
            "added": self.added,
            "order": self._order,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave, from a bank of the same capacity."""
        filled = len(state["images"])
        self.images[:filled] = state["images"]
        self.labels[:filled] = state["labels"]
        self.added = state["added"]
        self._order = state["order"].to(self.images.device)


@dataclass(frozen=True)
class SyntheticSample:
    """Some synthetic images: uint8 (N, C, H, W) with labels (N,)."""

    images: Tensor
    labels: Tensor

    def save(self, path: Path) -> None:
        """Write one safetensors file."""
        save_tensors(path, {"images": self.images, "labels": self.labels}, "synthetic sample", {})

    @classmethod
    def load(cls, path: Path) -> "SyntheticSample":
        """Read a file of `save`.

        Raises:
            InputError: the file is missing, damaged or foreign.
        """
        tensors, _ = load_tensors(path, "synthetic sample")
        return cls(tensors["images"], tensors["labels"])
