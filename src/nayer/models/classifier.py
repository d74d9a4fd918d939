"""A classifier that takes raw pixels, and the one safetensors file that carries it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from nayer.core.errors import InputError, first_mistake, refusable
from nayer.core.images import ImageSpec
from nayer.core.tensors import load_tensors, save_tensors
from nayer.models.architectures import build_network, is_own, may_run
from nayer.models.header import Header
from nayer.models.weights import differences


class Classifier(nn.Module):
    """A network with all that is needed to use it: class names, image shape, normalisation and provenance."""

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
        """Description and weights, in a form that can be sent to another process."""
        described = {"class_names": self.class_names, "images": self.images, "provenance": self.provenance}
        return {"architecture": self.architecture, **described, "weights": self.network.state_dict()}

    @classmethod
    def of_parts(cls, parts: dict[str, Any]) -> Classifier:
        """The classifier rebuilt from `parts`, in evaluation mode; this process must know its architecture's name."""
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
        network = build_network(architecture, images.channels, len(class_names), key, images.size)
        return cls(network, architecture, class_names, images)

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

        If the file's architecture is a user's own code, that is run only where it is trusted: because the parameters of
        a Kedro run name it, or because it was passed to `nayer.models.architectures.trust`.

        Raises:
            InputError: the file is missing, damaged, foreign, names code that is not trusted, or its weights do not
                fit its architecture.
        """
        weights, said = load_tensors(path, "classifier")
        try:
            header = Header.model_validate(said)
            spec = header.images.spec()
            network = _network(header, weights, f"architecture of '{path}'")
        except InputError:
            raise
        except ValueError as error:
            reason = first_mistake(error) if isinstance(error, ValidationError) else str(error)
            raise InputError(
                f"classifier file '{path}' does not fit its own description: {reason}. Make it again."
            ) from error
        return cls(network, header.architecture, tuple(header.class_names), spec, header.provenance).eval()


def _network(header: Header, weights: dict[str, Tensor], key: str) -> nn.Module:
    """The network that a file describes, with its weights."""
    if not may_run(header.architecture):
        raise InputError(
            f"{key}: to read it, '{header.architecture}' would be imported and run; where you trust that code, set it "
            "as teacher.architecture or distill.student.architecture, or give it to nayer.models.architectures.trust."
        )
    said = header.architecture, header.images.channels, len(header.class_names), key, header.images.size
    if not is_own(header.architecture):
        # First on `meta`, which takes no memory: a file may name a huge network. Torchvision's regnets fail there.
        with refusable(), torch.device("meta"):
            _check_fit(weights, build_network(*said))
    network = build_network(*said)
    _check_fit(weights, network)
    network.load_state_dict(weights)
    return network


def _check_fit(weights: dict[str, Tensor], network: nn.Module) -> None:
    if complaints := differences(weights, network.state_dict()):
        raise ValueError(f"it {', '.join(complaints)}")


def freeze(classifier: Classifier) -> Classifier:
    """Put a classifier in evaluation mode, turn off the gradients of its weights, and return it."""
    return classifier.eval().requires_grad_(False)
