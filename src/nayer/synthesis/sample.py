"""A sample of synthetic images and its file: images a student learnt from, or probes that it never did."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nayer.core.errors import InputError
from nayer.core.tensors import load_tensors, save_tensors


@dataclass(frozen=True)
class SyntheticSample:
    """A sample of synthetic images, uint8 (N, C, H, W), with labels (N,)."""

    images: Tensor
    labels: Tensor

    def save(self, path: Path) -> None:
        """Write images and labels to one safetensors file."""
        save_tensors(path, {"images": self.images, "labels": self.labels}, "synthetic sample", {})

    @classmethod
    def load(cls, path: Path) -> "SyntheticSample":
        """Read a file that `save` wrote.

        Raises:
            InputError: the file is missing, damaged or foreign.
        """
        tensors, _ = load_tensors(path, "synthetic sample")
        images, labels = tensors.get("images"), tensors.get("labels")
        if images is None or labels is None or not _go_together(images, labels):
            found = ", ".join(f"{name} {each.dtype} {tuple(each.shape)}" for name, each in tensors.items())
            raise InputError(
                f"synthetic sample file '{path}' holds {found or 'nothing'}, not images (N, C, H, W) of uint8 and "
                "their labels: run distill again."
            )
        return cls(images, labels)


def _go_together(images: Tensor, labels: Tensor) -> bool:
    """Whether types and shapes are those of images and their labels."""
    kinds = images.dtype == torch.uint8 and labels.dtype == torch.int64
    shapes = images.ndim == 4 and 0 not in images.shape[1:] and labels.shape == images.shape[:1]
    return kinds and shapes and bool((labels >= 0).all())
