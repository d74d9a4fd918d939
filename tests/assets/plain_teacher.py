"""A stranger's script, written without this project: a network, its training, and how it is saved."""

import sys

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn


class SmallNet(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        )  # fmt: skip
        self.classifier = nn.Linear(32, num_classes)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


if __name__ == "__main__":
    torch.manual_seed(0)
    digits = load_digits()
    train, _, labels, _ = train_test_split(
        digits.images, digits.target, test_size=540, random_state=0, stratify=digits.target
    )
    images = (torch.tensor(train, dtype=torch.float32)[:, None] / 16 - 0.5) / 0.5
    labels = torch.tensor(labels)
    model = nn.DataParallel(SmallNet())
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(15):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
    checkpoint = {"epoch": 15, "state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(checkpoint, sys.argv[1], _use_new_zipfile_serialization=False)
