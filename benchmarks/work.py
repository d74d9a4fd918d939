"""What a step computes and what it sends: the table of docs/scaling.md, counted and not measured.

    python benchmarks/work.py

Forward passes are counted by torch's FLOP counter on tensors without memory. A backward pass counts as one more where
only the input's gradient is wanted, as two more where the weights' is, too.
"""

from typing import cast

import click
import torch
from steps import BIG, CACHED_TARGETS, SHAPES, Shape, distill_config, rgb
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nayer.models.classifier import Classifier
from nayer.synthesis.methods.nayer import NayerConfig
from nayer.synthesis.parts.generator import Generator

LEFT_OUT = ("digits", "cifar10 wrn-16-2 > wrn-16-1")
LARGER = {"tiny_imagenet resnet-34 > resnet-18": Shape("tiny_imagenet", rgb(64), "resnet-34", "resnet-18", 200)}


def forward(network: nn.Module, inputs: torch.Tensor) -> float:
    """GFLOP of a forward pass."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(inputs)
    return float(counter.get_total_flops()) / 1e9


def megabytes(network: nn.Module) -> float:
    """Megabytes of a network's gradients in fp32."""
    return 4 * sum(weights.numel() for weights in network.parameters()) / 1e6


def row(name: str, shape: Shape) -> str:
    """Row of a shape, for the scenario's whole batches."""
    config, spec = distill_config(shape), shape.images
    synthesis, learnt = cast(NayerConfig, config.synthesis), config.student.batch_size
    names = tuple(f"class {index}" for index in range(shape.classes))
    with torch.device("meta"):
        teacher, student = (Classifier.build(each, names, spec).eval() for each in (shape.teacher, shape.student))
        generator = Generator(synthesis.latent, synthesis.generator_width, spec.size, spec.channels)
        noise = torch.empty(synthesis.batch_size, synthesis.latent)
        images = torch.empty(synthesis.batch_size, spec.channels, spec.size, spec.size)
        g, t, s = forward(generator, noise), forward(teacher, images), forward(student, images)
    scale = learnt / synthesis.batch_size
    figures = (
        f"{megabytes(generator):.1f}",
        f"{megabytes(student):.2f}",
        f"{3 * g + 2 * t + 2 * s:,.0f}",
        f"{scale * (t + 3 * s):,.0f}",
        f"{scale * (config.student.refreshed_targets * t + 3 * s):,.0f}",
    )
    return f"| {name}, {synthesis.batch_size} / {learnt} images | {' | '.join(figures)} |"


def main() -> None:
    click.echo(
        "| | generator, MB | student, MB | synthesis, GFLOP | distillation, GFLOP "
        f"| with {CACHED_TARGETS} cached targets |\n|---|---|---|---|---|---|"
    )
    for name, shape in (SHAPES | LARGER | BIG).items():
        if name not in LEFT_OUT:
            click.echo(row(name, shape))


if __name__ == "__main__":
    main()
