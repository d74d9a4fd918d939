"""The plain baseline of benchmarks/steps.py: the same steps as somebody would first write them.

Eager fp32, contiguous tensors, one Linear per noisy set, statistics by hooks with torch.var_mean, unfused optimisers,
images as PNG files that a DataLoader with two workers reads through PIL and torchvision's transforms of version 1.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from nayer.core.images import ImageSpec
from nayer.distillation.config import DistillConfig
from nayer.models.classifier import Classifier
from nayer.synthesis.methods.nayer import NayerConfig
from nayer.synthesis.parts.generator import Generator, UpsampledConv2d


def transform_of(config: DistillConfig, size: int) -> list[nn.Module]:
    """Crop and flip of torchvision's transforms of version 1, which draw once per call."""
    padding = config.augmentation.padding
    crop = [transforms.RandomCrop(size, padding)] if padding else []
    return [*crop, *([transforms.RandomHorizontalFlip()] if config.augmentation.flip else [])]


def plain_generator(latent: int, width: int, images: ImageSpec) -> Generator:
    """The library's generator, with an upsampling and a convolution where the library does both in one layer."""
    generator = Generator(latent, width, images.size, images.channels)
    for index, layer in enumerate(generator.layers):
        if isinstance(layer, UpsampledConv2d):
            convolution = nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1)
            generator.layers[index] = nn.Sequential(nn.Upsample(scale_factor=2), convolution)
    return generator


class PlainSynthesis:
    """A generator, one Linear for every set of one image per class, and hooks on every BatchNorm2d."""

    def __init__(self, teacher: Classifier, student: Classifier, embeddings: Tensor, config: DistillConfig) -> None:
        synthesis, images = cast(NayerConfig, config.synthesis), teacher.images
        self.teacher, self.student, self.config, self.embeddings = teacher, student, synthesis, embeddings
        classes, width = embeddings.shape
        sets = -(-synthesis.batch_size // classes)
        self.norm = nn.BatchNorm1d(width)
        self.linears = nn.ModuleList(nn.Linear(width, synthesis.latent) for _ in range(sets))
        self.generator = plain_generator(synthesis.latent, synthesis.generator_width, images)
        self.labels = torch.arange(classes).repeat(sets)[: synthesis.batch_size]
        weights = [*self.norm.parameters(), *self.linears.parameters(), *self.generator.parameters()]
        self.optimiser = torch.optim.Adam(weights, synthesis.learning_rate, synthesis.betas, foreach=False)
        self.augment = transforms.Compose(transform_of(config, images.size))
        self.layers = [each for each in teacher.modules() if isinstance(each, nn.BatchNorm2d)]
        self.inputs: list[Tensor] = []
        for layer in self.layers:
            layer.register_forward_hook(lambda _, inputs, __: self.inputs.append(inputs[0]))

    def step(self) -> Tensor:
        """One step of Adam with all three terms."""
        rows = self.norm(self.embeddings)
        latent = torch.cat([linear(rows) for linear in self.linears])[: len(self.labels)]
        images = self.generator(latent)
        self.inputs.clear()
        views = self.augment(images)
        taught, learnt = self.teacher(views), self.student(views)
        bn = torch.zeros(())
        for layer, inputs in zip(self.layers, self.inputs, strict=True):
            variance, mean = torch.var_mean(inputs, (0, 2, 3), correction=0)
            target = layer.get_buffer("running_mean"), layer.get_buffer("running_var")
            bn = bn + (mean - target[0]).norm() + (variance - target[1]).norm()
        divergence = F.kl_div(learnt.log_softmax(1), taught.softmax(1), reduction="none").sum(1)
        agree = (taught.argmax(1) == learnt.argmax(1)).float()
        config = self.config
        loss = config.ce_weight * F.cross_entropy(taught, self.labels) + config.bn_weight * bn
        loss = loss - config.adversarial_weight * (agree * divergence).mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        found: Tensor = loss.detach()
        return found


class PngImages(Dataset[Tensor]):
    """PNG files in a folder, opened and transformed one by one."""

    def __init__(self, folder: Path, config: DistillConfig, size: int, channels: int) -> None:
        self.files = sorted(folder.glob("*.png"))
        self.mode = "L" if channels == 1 else "RGB"
        self.transform = transforms.Compose([*transform_of(config, size), transforms.ToTensor()])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.files[index]) as file:
            image: Tensor = self.transform(file.convert(self.mode))
        return image


def write_images(folder: Path, images: Tensor) -> None:
    """Write images, uint8 (N, C, H, W), as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        pixels = image[0] if image.shape[0] == 1 else image.permute(1, 2, 0)
        Image.fromarray(pixels.numpy()).save(folder / f"{index:06}.png")


class PlainDistillation:
    """Distillation with batches from a pool of PNG files, a frozen teacher and SGD."""

    def __init__(self, teacher: Classifier, student: Classifier, folder: Path, config: DistillConfig) -> None:
        self.teacher, self.student, self.config = teacher, student, config.student
        pool = PngImages(folder, config, teacher.images.size, teacher.images.channels)
        self.loader = DataLoader(
            pool, config.student.batch_size, shuffle=True, num_workers=2, drop_last=True, persistent_workers=True
        )
        self.batches: Iterator[Tensor] = iter(())
        self.optimiser = torch.optim.SGD(
            student.network.parameters(),
            config.student.learning_rate,
            momentum=config.student.momentum,
            weight_decay=config.student.weight_decay,
            foreach=False,
        )

    def step(self) -> Tensor:
        """One step of SGD; waits for its batch."""
        images = next(self.batches, None)
        if images is None:
            self.batches = iter(self.loader)
            images = next(self.batches)
        self.student.train()
        with torch.no_grad():
            wanted = self.teacher(images)
        tau = self.config.temperature
        logits = self.student(images)
        loss = tau**2 * F.kl_div((logits / tau).log_softmax(1), (wanted / tau).softmax(1), reduction="batchmean")
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.detach()
