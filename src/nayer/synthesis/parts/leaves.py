"""Pictures that no data and no network are behind: dead leaves, shapes that lie over each other.

Edges, scales and colours come as often as in photographs (Lee, Mumford and Huang, "Occlusion models for natural
images", IJCV 2001); networks have been trained on such pictures before (arXiv 2106.05963).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from nayer.models.classifier import Classifier

LEAVES = 24
# Of a leaf's half side where an image reaches from -1 to 1, and by which root of a draw it is divided: so the share of
# leaves larger than r falls like r^(-1 / ROOT).
LEAST, GREATEST, ROOT = 0.12, 1.2, 0.8
# Deviations, in those of the teacher's pixels: of brightness, of colour, of a slope over a leaf, of a texture.
BRIGHTNESS, COLOUR, SLOPE, TEXTURE = 1.1, 0.35, 0.5, 0.9
# Exponents of |x|^p + |y|^p < 1: a diamond, an ellipse, a rounded square.
FORMS = (1.0, 2.0, 6.0)
# Sides up to which edges are smoothed by drawing at twice the size.
SMALL = 64
# More at once would take gigabytes.
TOGETHER = 256


@torch.no_grad()
def dead_leaves(teacher: Classifier, count: int) -> Tensor:
    """Images (count, C, H, W) in [0, 1], of the brightness and contrast that the teacher's normalisation expects."""
    spec = teacher.images
    side = spec.size * (2 if spec.size <= SMALL else 1)
    drawn = []
    for first in range(0, count, TOGETHER):
        pixels = paint(min(TOGETHER, count - first), spec.channels, side, teacher.mean.device)
        drawn.append(F.avg_pool2d(pixels * teacher.std + teacher.mean, side // spec.size))  # by 1, as they are
    return torch.cat(drawn).clamp(0, 1)


def paint(count: int, channels: int, side: int, device: torch.device) -> Tensor:
    """Leaf over leaf on the normalised scale, (count, channels, side, side); some images are full, some hold a few."""
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
    """A colour with a slope along `across` (count, side, side), some smooth and some with a piece of the texture."""
    count, channels, side, _ = texture.shape
    device = texture.device
    slope = SLOPE * torch.randn(count, 1, 1, 1, device=device) * across[:, None].clamp(-1, 1)
    rough = (2 * TEXTURE * (draw(count, device) - 0.5).clamp(min=0))[:, None]
    return colours(count, channels, device) + slope + rough * texture.roll(int(torch.randint(side, ())), 3)


def draw(count: int, device: torch.device) -> Tensor:
    """From 0 to 1, (count, 1, 1)."""
    return torch.rand(count, 1, 1, device=device)


def in_frame(line: Tensor, count: int, spread: Tensor) -> tuple[Tensor, Tensor]:
    """Where pixels lie (count, side, side) in the frame of a leaf, whose half sides are 1."""
    device = line.device
    size = (LEAST / (0.05 + 0.95 * draw(count, device)) ** ROOT).clamp(max=GREATEST)
    stretch, angle = torch.exp(0.5 * torch.randn(count, 1, 1, device=device)), torch.pi * draw(count, device)
    x = line - spread * (2 * draw(count, device) - 1)
    y = line[:, None] - spread * (2 * draw(count, device) - 1)
    cosine, sine = angle.cos(), angle.sin()
    return (cosine * x + sine * y) / (size * stretch), (cosine * y - sine * x) * stretch / size


def colours(count: int, channels: int, device: torch.device) -> Tensor:
    """(count, channels, 1, 1): channels differ less than leaves do."""
    shade = BRIGHTNESS * torch.randn(count, 1, 1, 1, device=device)
    return shade + COLOUR * torch.randn(count, channels, 1, 1, device=device) if channels > 1 else shade


def pink_noise(count: int, channels: int, side: int, device: torch.device) -> Tensor:
    """Amplitudes fall like 1 / frequency; mean 0 and deviation 1 in every channel (count, channels, side, side)."""
    down, across = torch.fft.fftfreq(side, device=device), torch.fft.rfftfreq(side, device=device)
    frequency = torch.hypot(down[:, None], across)
    frequency[0, 0] = 1
    white = torch.fft.rfft2(torch.randn(count, channels, side, side, device=device))
    white = white + 2 * white.mean(1, keepdim=True)  # light and shade, more than colour
    noise = torch.fft.irfft2(white / frequency, s=(side, side))
    normal: Tensor = (noise - noise.mean((2, 3), keepdim=True)) / noise.std((2, 3), keepdim=True)
    return normal
