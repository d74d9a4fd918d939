"""Logits and accuracy of a classifier on many images, batch by batch."""

from typing import Protocol

import torch
from torch import Tensor

from nayer.core.images import to_float
from nayer.models.classifier import Classifier

# Measured on two cores: equally fast with 50 to 200 images, a third slower with 500.
BATCH_SIZE = 200


class Labelled(Protocol):
    """uint8 images (N, C, H, W) with labels (N,)."""

    @property
    def images(self) -> Tensor: ...

    @property
    def labels(self) -> Tensor: ...


@torch.inference_mode()
def predict(classifier: Classifier, images: Tensor, device: torch.device, batch_size: int = BATCH_SIZE) -> Tensor:
    """Logits (N, classes) in fp32 on the CPU for uint8 images (N, C, H, W).

    The classifier is left in evaluation mode on `device`.
    """
    classifier.eval().to(device)
    # Full fp32, whatever the training allowed: neither TF32 nor an autocast around the call.
    exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    with exact, torch.autocast(device.type, enabled=False):
        return torch.cat([classifier(to_float(batch.to(device))).float().cpu() for batch in images.split(batch_size)])


def accuracy(classifier: Classifier, data: Labelled, device: torch.device) -> float:
    """Share of `data` that the classifier gets right, 0..1; the classifier is left in evaluation mode on `device`."""
    hits = predict(classifier, data.images, device).argmax(1) == data.labels.cpu()
    return int(hits.sum()) / len(hits)
