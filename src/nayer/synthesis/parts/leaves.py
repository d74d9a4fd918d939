"""Dead leaves: pictures of overlapping shapes, drawn without any data or network.

Their edges, scales and colours have similar statistics to those of photographs (Lee, Mumford and Huang, "Occlusion
models for natural images", IJCV 2001); networks have been trained on such pictures before (arXiv 2106.05963).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from nayer.models.classifier import Classifier

LEAVES = 24
# Half side of a leaf, where an image spans -1 to 1: LEAST / u^ROOT for a uniform u up to 1, at most GREATEST. So the
# share of leaves larger than r falls like r^(-1 / ROOT).
LEAST, GREATEST, ROOT = 0.12, 1.2, 0.8
# In standard deviations of the teacher's pixels: spread of brightness, colour, slope across a leaf; strongest texture.
BRIGHTNESS, COLOUR, SLOPE, TEXTURE = 1.1, 0.35, 0.5, 0.9
# Exponents of |x|^p + |y|^p < 1: a diamond, an ellipse, a rounded square.
FORMS = (1.0, 2.0, 6.0)
# Largest image side, in pixels, that is drawn at twice the size to smooth edges.
SMALL = 64
# Pictures drawn at once; more would take gigabytes.
TOGETHER = 256


@torch.no_grad()
def dead_leaves(teacher: Classifier, count: int) -> Tensor:
    """Images (count, C, H, W) in [0, 1], with the brightness and contrast that the teacher's normalisation expects."""
    spec = teacher.images
    side = spec.size * (2 if spec.size <= SMALL else 1)
    drawn = []
    for first in range(0, count, TOGETHER):
        pixels = paint(min(TOGETHER, count - first), spec.channels, side, teacher.mean.device)
        drawn.append(F.avg_pool2d(pixels * teacher.std + teacher.mean, side // spec.size))  # no-op for a factor of 1
    return torch.cat(drawn).clamp(0, 1)


def paint(count: int, channels: int, side: int, device: torch.device) -> Tensor:
    """Overlapping leaves (count, channels, side, side) on the normalised scale; some images are full, some sparse."""
    line = torch.linspace(-1, 1, side, device=device)
    texture = pink_noise(count, channels, side, device)
    crowd, spread = draw(count, device), 0.2 + draw(count, device)
    images = surface(line.expand(count, side, side), texture)
    for _ in range(LEAVES):
        across, down = in_frame(line, count, spread)
        power = torch.tensor(FORMS, device=device)[torch.randint(len(FORMS), (count, 1, 1), device=device)]
        inside = (across.abs() ** power + down.abs() ** power < 1) & (draw(count, device) < crowd)
        images = torch.where(inside[:, None], surface(across, texture), images)
    return images


def surface(across: Tensor, texture: Tensor) -> Tensor:
    """A colour with a gradient along `across` (count, side, side) for each image; some get a texture, too."""
    count, channels, side, _ = texture.shape
    device = texture.device
    slope = SLOPE * torch.randn(count, 1, 1, 1, device=device) * across[:, None].clamp(-1, 1)
    rough = (2 * TEXTURE * (draw(count, device) - 0.5).clamp(min=0))[:, None]
    return colours(count, channels, device) + slope + rough * texture.roll(int(torch.randint(side, ())), 3)


def draw(count: int, device: torch.device) -> Tensor:
    """Uniform random numbers in [0, 1), (count, 1, 1)."""
    return torch.rand(count, 1, 1, device=device)


def in_frame(line: Tensor, count: int, spread: Tensor) -> tuple[Tensor, Tensor]:
    """Pixel coordinates, each (count, side, side), in the frame of one random leaf per image, with half sides of 1."""
    device = line.device
    size = (LEAST / (0.05 + 0.95 * draw(count, device)) ** ROOT).clamp(max=GREATEST)
    stretch, angle = torch.exp(0.5 * torch.randn(count, 1, 1, device=device)), torch.pi * draw(count, device)
    x = line - spread * (2 * draw(count, device) - 1)
    y = line[:, None] - spread * (2 * draw(count, device) - 1)
    cosine, sine = angle.cos(), angle.sin()
    return (cosine * x + sine * y) / (size * stretch), (cosine * y - sine * x) * stretch / size


def colours(count: int, channels: int, device: torch.device) -> Tensor:
    """Random colours (count, channels, 1, 1); channels of one leaf differ less than leaves do."""
    shade = BRIGHTNESS * torch.randn(count, 1, 1, 1, device=device)
    return shade + COLOUR * torch.randn(count, channels, 1, 1, device=device) if channels > 1 else shade


def pink_noise(count: int, channels: int, side: int, device: torch.device) -> Tensor:
    """Noise (count, channels, side, side) of 1 / frequency amplitudes, with mean 0 and deviation 1 in each channel."""
    down, across = torch.fft.fftfreq(side, device=device), torch.fft.rfftfreq(side, device=device)
    frequency = torch.hypot(down[:, None], across)
    frequency[0, 0] = 1
    white = torch.fft.rfft2(torch.randn(count, channels, side, side, device=device))
    white = white + 2 * white.mean(1, keepdim=True)  # more variation in brightness than in colour
    noise = torch.fft.irfft2(white / frequency, s=(side, side))
    normal: Tensor = (noise - noise.mean((2, 3), keepdim=True)) / noise.std((2, 3), keepdim=True)
    return normal
