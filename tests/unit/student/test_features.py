"""Features beside logits: the inputs of a classifier's head, and what a student gains by comparing them."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from nayer.core.errors import InputError
from nayer.core.images import Augmentation
from nayer.models.classifier import Classifier
from nayer.student.features import Answers, feature_count, has_features
from nayer.student.losses import distillation_loss, feature_loss, with_features
from nayer.student.start import blank_student
from nayer.student.targets import build_targets
from nayer.student.trainer import StudentTrainer
from nayer.synthesis.memory import MemoryBank
from nayer.synthesis.parts.features import head_of

VIEWS = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def config(distill_config):
    return lambda **changes: distill_config(**{f"student__{name}": value for name, value in changes.items()}).student


def of(teacher: Classifier, *layers: nn.Module) -> Classifier:
    return Classifier(nn.Sequential(*layers), "own", teacher.class_names, teacher.images)


@torch.no_grad()
def test_features_are_what_the_last_layer_makes_the_logits_of(teacher):
    answers = Answers(teacher)
    logits, features = answers(VIEWS).split([3, 64], 1)
    torch.testing.assert_close(logits, teacher(VIEWS))
    torch.testing.assert_close(teacher.network.head(features / answers.scale), logits)
    projection = nn.Linear(64, 5)
    torch.testing.assert_close(Answers(teacher, projection)(VIEWS)[:, 3:], projection(features / answers.scale))
    assert not teacher.network.head._forward_pre_hooks, "nothing stays behind"


@torch.no_grad()
@pytest.mark.parametrize("factor", [3e5, 1.0, 1e-5])
def test_half_precision_holds_a_teachers_features_whatever_their_size(teacher, factor):
    first, last = nn.Linear(64, 16, bias=False), nn.Linear(16, 3)
    first.weight *= factor
    last.weight /= factor
    features = Answers(of(teacher, nn.Flatten(), first, nn.ReLU(), last))(VIEWS)[:, 3:].to(torch.float16)
    assert features.isfinite().all()
    assert 0.03 < features.float().square().mean().sqrt() < 3


@torch.no_grad()
def test_the_layer_that_answers_is_told_from_others_by_its_answer(teacher):
    class Fancy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(64, 3)
            self.aside = nn.Linear(3, 3)
            self.for_training = nn.Linear(64, 3)

        def forward(self, x):
            self.aside(x.flatten(1)[:, :3])
            return self.head(x.flatten(1))

    network = Fancy()
    assert head_of(Classifier(network, "own", teacher.class_names, teacher.images)) is network.head


def test_a_classifier_without_a_row_of_features_is_refused(teacher, config):
    without = of(teacher, nn.Conv2d(1, 3, 8), nn.Flatten())
    with pytest.raises(InputError, match=r"feature_weight: 'own' has no linear layer .* set it to 0"):
        feature_count(without, config(feature_weight=1.0))
    assert feature_count(without, config()) == 0, "not asked for"
    by_row = of(teacher, nn.Linear(8, 3), nn.AdaptiveAvgPool2d((1, 3)), nn.Flatten())
    with pytest.raises(InputError, match=r"is given \(2, 1, 8, 8\) for 2 images, not a row of features for each"):
        feature_count(by_row, config(feature_weight=1.0))
    assert [has_features(each) for each in (teacher, without, by_row)] == [True, False, False]
    with pytest.raises(InputError, match="feature_weight"):
        blank_student(without, config(feature_weight=1.0))


def test_the_loss_knows_neither_the_size_nor_the_mean_of_the_teachers_features():
    teacher = 3 + torch.randn(50, 7) * torch.arange(1.0, 8.0)
    shown = (teacher - teacher.mean(0)) / teacher.var(0, correction=0).mean().sqrt()
    torch.testing.assert_close(feature_loss(teacher, shown + 5), torch.tensor(0.0))
    torch.testing.assert_close(feature_loss(teacher, torch.zeros(50, 7)), torch.tensor(1.0))
    torch.testing.assert_close(feature_loss(1000 * teacher - 9, 0.9 * shown), torch.tensor(0.01))
    assert feature_loss(torch.ones(4, 7), torch.ones(4, 7)).isfinite()


def test_features_are_added_to_the_loss_of_the_logits_by_their_weight():
    teacher, student = torch.randn(5, 3 + 7), torch.randn(5, 3 + 7)
    whole = with_features(lambda a, b: distillation_loss(a, b, 4.0), 3, 2.0)(teacher, student)
    logits = distillation_loss(teacher[:, :3], student[:, :3], 4.0)
    torch.testing.assert_close(whole, logits + 2 * feature_loss(teacher[:, 3:], student[:, 3:]))


@pytest.mark.parametrize("cached_targets", [None, 3])
@torch.no_grad()
def test_targets_hold_the_features_of_the_very_views(cached_targets, teacher, config):
    values = config(feature_weight=1.0, cached_targets=cached_targets)
    bank = MemoryBank(20, (1, 8, 8), torch.device("cpu"))
    features = feature_count(teacher, values)
    targets = build_targets(teacher, bank, Augmentation(padding=1, flip=True), nullcontext, values, features)
    targets.add(torch.randint(256, (12, 1, 8, 8), dtype=torch.uint8), torch.zeros(12, dtype=torch.long))
    targets.deal(10)
    views, answers = targets.views()
    torch.testing.assert_close(answers.float(), Answers(teacher)(views), rtol=2e-3, atol=2e-3)


def test_the_layer_that_shows_them_learns_is_resumed_and_is_no_part_of_the_student(teacher, config):
    torch.manual_seed(0)
    trainers = []
    for _ in range(2):
        student = Classifier.build("wrn-10-1", teacher.class_names, teacher.images)
        trainers.append(StudentTrainer(student, config(), 9, nullcontext, features=5))
    first, second = trainers
    wanted = torch.randn(6, 3 + 5)
    loss = with_features(lambda a, b: distillation_loss(a, b, 4.0), 3, 1.0)
    losses = [first.step(VIEWS, lambda answers: loss(wanted, answers))[0].item() for _ in range(8)]
    assert losses[-1] < losses[0]
    projection = first.answer.projection
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.answer.projection.weight, projection.weight)
    assert second.student.state_dict().keys() == teacher.state_dict().keys()
