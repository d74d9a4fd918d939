"""Loss terms against numbers worked out by hand or by another formula."""

import math

import pytest
import torch

from nayer.student.losses import distillation_loss
from nayer.synthesis.parts.losses import adversarial_loss, class_loss, statistics_distance


def test_class_loss_is_the_mean_negative_log_probability_of_the_label():
    logits = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0]])
    expected = (math.log(2.0) + -math.log(0.75)) / 2
    assert class_loss(logits, torch.tensor([0, 0])).item() == pytest.approx(expected, rel=1e-6)


def test_adversarial_loss_counts_only_images_on_which_both_agree():
    teacher = torch.tensor([[math.log(3.0), 0.0], [math.log(3.0), 0.0]])
    student = torch.tensor([[math.log(9.0), 0.0], [0.0, 1.0]])
    divergence = 0.75 * math.log(0.75 / 0.9) + 0.25 * math.log(0.25 / 0.1)
    assert adversarial_loss(teacher, student).item() == pytest.approx(-divergence / 2, rel=1e-5)


def test_distillation_loss_is_squared_temperature_times_softened_divergence():
    torch.manual_seed(0)
    teacher, student, temperature = torch.randn(4, 5), torch.randn(4, 5), 20.0
    p, q = (teacher / temperature).softmax(1), (student / temperature).softmax(1)
    expected = temperature**2 * (p * (p / q).log()).sum() / 4
    assert distillation_loss(teacher, student, temperature).item() == pytest.approx(expected.item(), rel=1e-4)


def test_distillation_loss_of_equal_outputs_is_zero():
    logits = torch.randn(4, 5)
    assert distillation_loss(logits, logits, 20.0).item() == pytest.approx(0, abs=1e-4)


def test_statistics_distance_sums_plain_norms_over_layers():
    means, variances = [torch.tensor([3.0, 4.0]), torch.tensor([1.0])], [torch.tensor([0.0, 0.0]), torch.tensor([2.0])]
    zeros = [torch.zeros(2), torch.zeros(1)]
    assert statistics_distance(means, variances, zeros, zeros).item() == pytest.approx(5 + 1 + 0 + 2)


def test_low_precision_logits_are_taken_in_full_precision():
    logits = torch.randn(8, 10).bfloat16()
    for loss in (class_loss(logits, torch.zeros(8, dtype=torch.long)), distillation_loss(logits, logits, 20.0)):
        assert loss.dtype == torch.float32
