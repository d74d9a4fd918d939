"""Residual networks with the stem for small images: one 3x3 convolution, no pooling (He et al., arXiv 1512.03385)."""

import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; a 1x1 convolution with BatchNorm where shapes change."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        hidden = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(hidden)).add_(self.shortcut(x)), inplace=True)


class ResNet(nn.Module):
    """Four groups of basic blocks with 64, 128, 256 and 512 channels; `blocks` is the number in each group."""

    def __init__(self, blocks: tuple[int, int, int, int], channels: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 64, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(64)
        self.groups = nn.Sequential()
        inputs = 64
        for count, outputs, stride in zip(blocks, (64, 128, 256, 512), (1, 2, 2, 2), strict=True):
            for i in range(count):
                self.groups.append(BasicBlock(inputs, outputs, stride if i == 0 else 1))
                inputs = outputs
        self.head = nn.Linear(512, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) normalised images -> (N, classes) logits."""
        features = self.groups(F.relu(self.bn(self.stem(x)), inplace=True))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits
