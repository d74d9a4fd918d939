"""A teacher as its owner would make it: transformers' own network, trained by a plain script, saved by save_pretrained.

    python benchmarks/transformers_teacher.py convnext fashion_mnist data/teachers/convnext --epochs 10
    make scenario NAME=mine TEACHER=transformers:data/teachers/convnext TEST_DATA=fashion_mnist

Nothing of this project is imported. The last images of the training data (10,000 of Fashion-MNIST, 5,000 of CIFAR) are
kept for validation; test images are not read. The same command continues a stopped training after its last epoch.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision import datasets
from transformers import (
    ConvNextConfig,
    ConvNextForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
    SwinConfig,
    SwinForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

DATA: dict[str, Any] = {
    "fashion_mnist": datasets.FashionMNIST,
    "cifar10": datasets.CIFAR10,
    "cifar100": datasets.CIFAR100,
}
HELD_OUT = {"fashion_mnist": 10_000, "cifar10": 5_000, "cifar100": 5_000}
# Pixels of padding by side length: in a few epochs, shifted images are learnt more slowly, small grey ones most of all.
PADDING = {28: 0, 32: 2}
BATCH, RATE, DECAY = 64, 2e-3, 0.05


def network(kind: str, size: int, channels: int, names: list[str]) -> Any:
    """A small network of some hundred thousand weights; the ResNet, which soon halves the side twice, has millions."""
    common: dict[str, Any] = {
        "num_channels": channels,
        "id2label": dict(enumerate(names)),
        "label2id": {name: number for number, name in enumerate(names)},
    }
    if kind == "convnext":
        sizes = {"hidden_sizes": [32, 64, 128], "depths": [1, 2, 1], "num_stages": 3, "patch_size": 2}
        # Blocks that begin at a millionth of their weight, the default, hardly learn in a few epochs.
        config = ConvNextConfig(layer_scale_init_value=1.0, image_size=size, **sizes, **common)
        model: Any = ConvNextForImageClassification(config)
    elif kind == "resnet":
        sizes = {"embedding_size": 64, "hidden_sizes": [64, 128, 256], "depths": [2, 2, 2]}
        model = ResNetForImageClassification(ResNetConfig(layer_type="basic", **sizes, **common))
    elif kind == "swin":
        # On photographs it learns in tens of epochs what a plain ViT of its size needs hundreds for.
        sizes = {"embed_dim": 24, "depths": [2, 2, 2], "num_heads": [2, 4, 8], "window_size": 4, "patch_size": 2}
        model = SwinForImageClassification(SwinConfig(image_size=size, **sizes, **common))
    else:
        sizes = {"hidden_size": 96, "num_hidden_layers": 4, "num_attention_heads": 3, "intermediate_size": 192}
        model = ViTForImageClassification(ViTConfig(**sizes, patch_size=4, image_size=size, **common))
    return model


def images_of(name: str, folder: str) -> tuple[Tensor, Tensor, list[str]]:
    """Training images, uint8 (N, C, H, W), their labels, and the names of the classes."""
    data = DATA[name](folder, train=True)
    pixels = torch.as_tensor(data.data)
    images = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    return images.contiguous(), torch.as_tensor(data.targets), [str(each) for each in data.classes]


def views(images: Tensor) -> Tensor:
    """Each image shifted and flipped at random, on the [0, 1] scale."""
    padding, size = PADDING[images.shape[-1]], images.shape[-1]
    padded = F.pad(images.float() / 255, [padding] * 4)
    shift = torch.randint(2 * padding + 1, (2, len(images), 1))
    rows, columns = (torch.arange(size) + each for each in shift)
    columns = torch.where(torch.rand(len(images), 1) < 0.5, columns.flip(1), columns)
    each = torch.arange(len(images))[:, None, None]
    return padded.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


class Training:
    """A training by epochs; its state is kept after each of them, until the model is saved."""

    def __init__(self, model: Any, options: argparse.Namespace, steps: int) -> None:
        self.file: Path = options.out / "checkpoint.pt"
        self.asked = {name: str(value) for name, value in vars(options).items()}
        self.model, self.steps, self.device = model, steps, next(model.parameters()).device
        self.optimiser = torch.optim.AdamW(model.parameters(), RATE, weight_decay=DECAY, fused=True)
        total = options.epochs * steps + 1
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimiser, RATE, total_steps=total)
        self.parts = {"model": model, "optimiser": self.optimiser, "schedule": self.schedule}

    def restore(self) -> int:
        """Continue where the same command was stopped, if it was; returns the number of epochs that are done."""
        kept: dict[str, Any] = torch.load(self.file, "cpu", weights_only=True) if self.file.exists() else {}
        if kept.get("asked") != self.asked:
            return 0
        for name, part in self.parts.items():
            part.load_state_dict(kept[name])
        torch.set_rng_state(kept["random"])
        if self.device.type != "cpu" and kept.get("random_there") is not None:
            torch.get_device_module(self.device).set_rng_state(kept["random_there"])
        return int(kept["epochs"])

    def keep(self, epochs: int) -> None:
        """Replace the kept state by the present one, in one step."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        states = {name: part.state_dict() for name, part in self.parts.items()}
        there = torch.get_device_module(self.device).get_rng_state() if self.device.type != "cpu" else None
        own = {"asked": self.asked, "random": torch.get_rng_state(), "random_there": there, "epochs": epochs}
        torch.save({**states, **own}, part := self.file.with_suffix(".part"))
        part.rename(self.file)

    def epoch(self, images: Tensor, labels: Tensor, logits: Callable[[Tensor], Tensor]) -> float:
        """Learn from all images once, in random order; returns the mean loss."""
        self.model.train()
        total = 0.0
        for chosen in torch.randperm(len(images))[: self.steps * BATCH].split(BATCH):
            loss = F.cross_entropy(logits(views(images[chosen])), labels[chosen].to(self.device))
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.schedule.step()
            total += loss.item()
        return total / self.steps


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a small network of transformers.")
    parser.add_argument("kind", choices=("convnext", "resnet", "swin", "vit"))
    parser.add_argument("data", choices=DATA)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--folder", default="data/01_raw")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    images, labels, names = images_of(options.data, options.folder)
    held = HELD_OUT[options.data]
    size, channels = images.shape[-1], images.shape[1]
    mean = (images[:-held].float().mean((0, 2, 3)) / 255).view(-1, 1, 1)
    std = (images[:-held].float().std((0, 2, 3)) / 255).view(-1, 1, 1)
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    model = network(options.kind, size, channels, names).to(device)
    training = Training(model, options, (len(images) - held) // BATCH)
    bf16 = device.type != "cpu" or torch.cpu.get_capabilities().get("avx512_bf16")
    precision = torch.autocast(device.type, torch.bfloat16, enabled=bool(bf16))

    def logits(pixels: Tensor) -> Tensor:
        normalised = ((pixels - mean) / std).to(device)
        with precision:
            found: Tensor = model(pixel_values=normalised).logits.float()
        return found

    began = time.monotonic()
    for epoch in range(training.restore(), options.epochs):
        loss = training.epoch(images[:-held], labels[:-held], logits)
        model.eval()
        with torch.inference_mode():
            answers = torch.cat([logits(part.float() / 255).argmax(1).cpu() for part in images[-held:].split(500)])
        accuracy = (answers == labels[-held:]).float().mean().item()
        took = time.monotonic() - began
        click.echo(f"epoch {epoch + 1}: loss {loss:.3f}, validation {accuracy:.2%}, {took:.0f} s")
        if epoch + 1 < options.epochs:
            training.keep(epoch + 1)
    model.save_pretrained(options.out)
    ViTImageProcessor(
        size={"height": size, "width": size},
        image_mean=mean.flatten().tolist(),
        image_std=std.flatten().tolist(),
    ).save_pretrained(options.out)
    said = {"kind": options.kind, "data": options.data, "epochs": options.epochs, "seed": options.seed}
    (options.out / "training.json").write_text(json.dumps({**said, "validation_accuracy": accuracy}) + "\n")
    training.file.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
