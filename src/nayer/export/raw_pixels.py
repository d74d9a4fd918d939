"""The computation that every exported file holds: logits from raw pixels."""

import torch
from torch import Tensor, nn

from nayer.models.classifier import Classifier


class RawPixels(nn.Module):
    """uint8 pixels (N, C, H, W) -> logits (N, classes); scaling and normalisation travel inside."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits in fp32."""
        logits: Tensor = self.classifier(pixels.to(torch.float32) / 255)
        return logits
