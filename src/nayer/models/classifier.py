"""A classifier that takes raw pixels, and the one safetensors file that carries it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nayer.errors import InputError
from nayer.files import load_tensors, save_tensors
from nayer.images import ImageSpec
from nayer.models.architectures import build_network


class Classifier(nn.Module):
    """A network with all that is needed to use it: class names, image shape, normalisation, where it came from."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        architecture: str,
        class_names: tuple[str, ...],
        images: ImageSpec,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.architecture = architecture
        self.class_names = class_names
        self.images = images
        self.provenance = provenance or {}
        self.register_buffer("mean", torch.tensor(images.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(images.std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) pixels in [0, 1] -> (N, classes) logits."""
        logits: Tensor = self.network((images - self.mean) / self.std)
        return logits

    def parts(self) -> dict[str, Any]:
        """Description and weights, for another process."""
        described = {"class_names": self.class_names, "images": self.images, "provenance": self.provenance}
        return {"architecture": self.architecture, **described, "weights": self.network.state_dict()}

    @classmethod
    def of_parts(cls, parts: dict[str, Any]) -> Classifier:
        """The classifier again, in evaluation mode; its network is built by its name, so it must be known here."""
        classifier = cls.build(parts["architecture"], parts["class_names"], parts["images"])
        classifier.network.load_state_dict(parts["weights"])
        classifier.provenance = parts["provenance"]
        return classifier.eval()

    @property
    def parameter_count(self) -> int:
        """Number of learnt weights."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    @classmethod
    def build(
        cls, architecture: str, class_names: tuple[str, ...], images: ImageSpec, key: str = "architecture"
    ) -> Classifier:
        """A classifier with fresh weights; `key` names the parameter in an error."""
        return cls(
            build_network(architecture, images.channels, len(class_names), key), architecture, class_names, images
        )

    def save(self, path: Path) -> None:
        """Write weights and description to one safetensors file; equal weights give equal bytes."""
        description = {
            "architecture": self.architecture,
            "class_names": list(self.class_names),
            "images": asdict(self.images),
            "provenance": self.provenance,
        }
        save_tensors(path, self.network.state_dict(), "classifier", description)

    @classmethod
    def load(cls, path: Path) -> Classifier:
        """Read a classifier file; the result is in evaluation mode.

        Raises:
            InputError: the file is missing, damaged, foreign, or its weights do not fit its architecture.
        """
        weights, description = load_tensors(path, "classifier")
        try:
            images = description["images"]
            spec = ImageSpec(images["size"], images["channels"], tuple(images["mean"]), tuple(images["std"]))
            names = tuple(description["class_names"])
            classifier = cls.build(description["architecture"], names, spec, key=f"architecture of '{path}'")
            classifier.provenance = description["provenance"]
            classifier.network.load_state_dict(weights)
        except (KeyError, TypeError, RuntimeError) as error:
            reason = str(error).replace("\n", " ")
            raise InputError(
                f"classifier file '{path}' does not fit its own description: {reason}. Make it again."
            ) from error
        return classifier.eval()


def freeze(classifier: Classifier) -> Classifier:
    """Put a classifier in evaluation mode and take its weights out of the gradient; returns it."""
    return classifier.eval().requires_grad_(False)
