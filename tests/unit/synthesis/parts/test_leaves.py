"""Dead leaves are like photographs in what can be measured: spectrum, brightness, edges. No data, no network."""

import pytest
import torch

from nayer.core.images import ImageSpec
from nayer.models.classifier import Classifier
from nayer.synthesis.parts.leaves import dead_leaves, pink_noise

CPU = torch.device("cpu")


def teacher_of(size: int, mean: tuple[float, ...], std: tuple[float, ...]) -> Classifier:
    names = ("a", "b")
    return Classifier(torch.nn.Flatten(), "flat", names, ImageSpec(size, len(mean), mean, std))


def slope_of_spectrum(images: torch.Tensor) -> float:
    """Exponent of the power spectrum, fitted from two waves per image to half the highest frequency."""
    side = images.shape[-1]
    frequency = torch.hypot(torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)) * side
    power = torch.fft.rfft2(images - images.mean((2, 3), keepdim=True)).abs().square().mean((0, 1))
    rings = torch.arange(2, side // 4)
    falling = torch.stack([power[(frequency - ring).abs() < 0.5].mean() for ring in rings]).log()
    at = rings.float().log()
    return float(((at - at.mean()) * (falling - falling.mean())).sum() / (at - at.mean()).square().sum())


def test_power_falls_with_frequency_as_in_photographs_and_not_as_in_noise():
    torch.manual_seed(0)
    found = slope_of_spectrum(dead_leaves(teacher_of(32, (0.5,) * 3, (0.25,) * 3), 256))
    assert -3 < found < -1.5  # photographs have about -2
    assert abs(slope_of_spectrum(torch.rand(256, 3, 32, 32))) < 0.1


@pytest.mark.parametrize(("mean", "std"), [((0.5, 0.5, 0.4), (0.25, 0.25, 0.25)), ((0.3,), (0.35,)), ((0.1,), (0.2,))])
def test_brightness_and_contrast_are_those_that_the_teacher_expects(mean, std):
    torch.manual_seed(0)
    images = dead_leaves(teacher_of(28, mean, std), 500)
    assert images.shape == (500, len(mean), 28, 28)
    assert 0 <= images.min() < 0.01
    assert min(1.0, max(mean) + 2 * max(std)) <= images.max() <= 1
    found, expected = images.transpose(0, 1).flatten(1), torch.tensor(mean)
    # Mean and deviation are shifted by clipping to black and white.
    assert ((found.mean(1) - expected).abs() < 0.1).all()
    assert ((found.std(1) - torch.tensor(std)).abs() < 0.1).all()


def test_channels_go_together_as_light_and_shade_do():
    torch.manual_seed(0)
    pixels = dead_leaves(teacher_of(16, (0.5,) * 3, (0.25,) * 3), 500).transpose(0, 1).flatten(1)
    likeness = torch.corrcoef(pixels)
    assert 0.7 < float(likeness[0, 1]) < 0.98


def test_pictures_follow_from_the_seed_and_are_all_different():
    teacher = teacher_of(16, (0.5,), (0.25,))
    drawn = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        drawn.append(dead_leaves(teacher, 20))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    apart = torch.cdist(drawn[0].flatten(1), drawn[0].flatten(1))
    assert apart[~torch.eye(20, dtype=torch.bool)].min() > 0.1


def test_large_pictures_are_drawn_at_their_own_size():
    assert dead_leaves(teacher_of(80, (0.5,), (0.25,)), 2).shape == (2, 1, 80, 80)


@pytest.mark.parametrize("channels", [1, 3])
def test_texture_is_of_unit_deviation_and_falls_by_the_square(channels):
    torch.manual_seed(0)
    noise = pink_noise(200, channels, 32, CPU)
    torch.testing.assert_close(noise.std((2, 3)), torch.ones(200, channels))
    assert slope_of_spectrum(noise) == pytest.approx(-2, abs=0.15)
