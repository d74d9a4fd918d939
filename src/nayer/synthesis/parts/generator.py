"""The image generator: one linear layer, then upsampling and 3x3 convolutions up to the image."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nayer.core.errors import InputError
from nayer.engine.compilation import compile_network
from nayer.synthesis.method import Context
from nayer.synthesis.parts.settings import GeneratorConfig


def upsamplings(image_size: int) -> int:
    """How often the generator doubles its resolution: twice up to 64 px, four times above (from 14x14 to 224 px).

    Raises:
        InputError: the size is too small, or not a multiple of 2^doublings.
    """
    doublings = 2 if image_size <= 64 else 4
    if image_size < 8 or image_size % 2**doublings:
        raise InputError(
            f"data.image_size: {image_size}, but the generator makes square images of 8 to 64 pixels in steps of 4, "
            f"and larger ones in steps of 16; give the teacher images of such a size."
        )
    return doublings


class UpsampledConv2d(nn.Conv2d):
    """Nearest upsampling by two, then a 3x3 convolution: (N, inputs, H, W) -> (N, outputs, 2 H, 2 W).

    Computed as one transposed convolution of stride 2, whose 4x4 kernel sums the weights that meet the same pixel: four
    products per value instead of nine, and no upsampled copy.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, 2 H, 2 W)."""
        padded = F.pad(self.weight.transpose(0, 1).flip(2, 3), (1, 1, 1, 1))
        rows = padded[:, :, 1:] + padded[:, :, :-1]
        kernel = (rows[..., 1:] + rows[..., :-1]).contiguous(memory_format=torch.channels_last)
        return F.conv_transpose2d(x, kernel, self.bias, stride=2, padding=1)


class Generator(nn.Module):
    """(N, latent) vectors -> (N, channels, size, size) images in [0, 1]."""

    def __init__(self, latent: int, width: int, image_size: int, channels: int) -> None:
        super().__init__()
        doublings = upsamplings(image_size)
        start = image_size // 2**doublings
        widths = [2 * width] * doublings + [width]
        self.project = nn.Linear(latent, widths[0] * start * start)
        self.start = (widths[0], start, start)
        layers: list[nn.Module] = [nn.BatchNorm2d(widths[0])]
        for inputs, outputs in pairwise(widths):
            layers += [
                UpsampledConv2d(inputs, outputs),
                nn.BatchNorm2d(outputs),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], channels, 3, 1, 1), nn.Sigmoid())

    def forward(self, z: Tensor) -> Tensor:
        """(N, latent) -> (N, channels, size, size) in [0, 1]."""
        images: Tensor = self.layers(self.project(z).view(-1, *self.start))
        return images


def build_generator(
    context: Context, config: GeneratorConfig, compiled: bool = True, latent: int | None = None
) -> Generator:
    """A generator of images for the teacher, with fresh weights, on its device, and compiled if the context says so."""
    images = context.teacher.images
    generator = Generator(latent or config.latent, config.generator_width, images.size, images.channels)
    generator.to(context.teacher.mean.device).to(memory_format=torch.channels_last)
    if compiled and context.compiled:
        compile_network(generator)
    return generator


def redraw_weights(generator: Generator) -> None:
    """Redraw weights in place: normal, standard deviation 0.02 (Radford et al., arXiv 1511.06434, section 3)."""
    for module in generator.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            nn.init.normal_(module.weight, float(isinstance(module, nn.BatchNorm2d)), 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
