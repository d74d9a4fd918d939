"""VGG-11 with BatchNorm for small images (Simonyan and Zisserman, arXiv 1409.1556): one linear head."""

from torch import Tensor, nn

# Output channels of the eight convolutions; "pool" halves the side.
VGG_11 = (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512)


class VGG(nn.Module):
    """The convolutions of VGG-11, each followed by BatchNorm and ReLU. The image side must be at least 16."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential()
        inputs = channels
        for layer in VGG_11:
            if isinstance(layer, int):
                self.features.extend(
                    [nn.Conv2d(inputs, layer, 3, 1, 1, bias=False), nn.BatchNorm2d(layer), nn.ReLU(inplace=True)]
                )
                inputs = layer
            else:
                self.features.append(nn.MaxPool2d(2))
        self.head = nn.Linear(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) normalised images -> (N, classes) logits."""
        logits: Tensor = self.head(self.features(x).mean((2, 3)))
        return logits
