"""Wide residual networks for small images (Zagoruyko and Komodakis, arXiv 1605.07146)."""

import torch.nn.functional as F
from torch import Tensor, nn


class WideBlock(nn.Module):
    """Pre-activation block of two 3x3 convolutions; the shortcut is a 1x1 convolution where shapes change."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        same = inputs == outputs and stride == 1
        self.shortcut = None if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        activated = F.relu(self.bn1(x), inplace=True)
        residual = x if self.shortcut is None else self.shortcut(activated)
        result: Tensor = self.conv2(F.relu(self.bn2(self.conv1(activated)), inplace=True)).add_(residual)
        return result


class WideResNet(nn.Module):
    """WRN-depth-width: three groups of (depth - 4) / 6 blocks with 16, 32 and 64 times `width` channels."""

    def __init__(self, depth: int, width: int, channels: int, classes: int) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6 or width < 1:
            raise ValueError(
                f"WRN-{depth}-{width}: the depth must be 6 n + 4 (10, 16, 22, ...) and the width at least 1"
            )
        blocks = (depth - 4) // 6
        widths = [16, 16 * width, 32 * width, 64 * width]
        self.stem = nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False)
        self.groups = nn.Sequential()
        for inputs, outputs, stride in zip(widths, widths[1:], (1, 2, 2), strict=False):
            self.groups.extend(
                WideBlock(inputs if i == 0 else outputs, outputs, stride if i == 0 else 1) for i in range(blocks)
            )
        self.bn = nn.BatchNorm2d(widths[3])
        self.head = nn.Linear(widths[3], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) normalised images -> (N, classes) logits."""
        features = F.relu(self.bn(self.groups(self.stem(x))), inplace=True)
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits
