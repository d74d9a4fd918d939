"""DAFL's idea: the teacher should be sure, strongly activated, and see all classes equally often."""

import math

import pytest
import torch
from torch import nn

from nayer.core.errors import InputError
from nayer.models.classifier import Classifier
from nayer.synthesis.method import TOTAL
from nayer.synthesis.methods.dafl import Dafl
from nayer.synthesis.parts.losses import balance_loss


@pytest.fixture
def make(make_method):
    return lambda **changes: make_method("dafl", **changes)


def test_the_terms_are_those_of_the_paper(make, student, teacher):
    """Compared with sums written out, with the features taken before the head."""
    method = make(augmentation__padding=0)
    images = torch.rand(5, 1, 8, 8)
    with method.watching(student):
        losses, logits = method.losses(images, student)
    network = teacher.network
    features = torch.relu(network.bn(network.groups(network.stem((images - teacher.mean) / teacher.std)))).mean((2, 3))
    shares = network.head(features).softmax(1)
    mean = shares.mean(0).tolist()
    assert logits.argmax(1).tolist() == shares.argmax(1).tolist()
    one_hot = -sum(math.log(row.max()) for row in shares) / 5
    assert losses["one_hot"].item() == pytest.approx(one_hot, rel=1e-5)
    assert losses["activation"].item() == pytest.approx(-features.abs().mean().item(), rel=1e-5)
    assert losses["balance"].item() == pytest.approx(sum(p * math.log10(p) for p in mean), rel=1e-5)
    total = 1.0 * losses["one_hot"] + 0.1 * losses["activation"] + 5.0 * losses["balance"]
    assert losses[TOTAL].item() == pytest.approx(total.item(), rel=1e-6)


def test_balance_is_least_where_all_classes_come_equally_often():
    apart, alike = 20 * torch.eye(4), 20 * torch.eye(4)[:1].expand(4, -1)
    assert balance_loss(apart).item() == pytest.approx(-math.log(4), abs=1e-3)
    assert balance_loss(alike).item() == pytest.approx(0, abs=1e-3)


def test_one_generator_and_its_optimiser_live_through_all_batches(make, student):
    method = make(synthesis__steps=1)
    generator, optimiser = method.generator, method.optimiser
    for epoch in range(3):
        method.start_epoch(epoch)
        method.step(student)
    assert (method.generator, method.optimiser) == (generator, optimiser)
    assert all(state["step"] == 3 for state in optimiser.state.values())


def test_the_labels_are_what_the_teacher_sees(make, student):
    batch = make().step(student)
    assert torch.equal(batch.labels, batch.predictions)


def test_training_lowers_the_loss_by_bringing_all_classes(make, student, teacher):
    with torch.no_grad():
        teacher.network.head.weight *= 20  # an untrained teacher hardly tells images apart
    balance = {"synthesis__balance_weight": 12.0}  # in 30 steps it hardly moves under the published weight
    method = make(synthesis__steps=1, synthesis__latent=32, synthesis__generator_width=16, **balance)
    losses = [method.step(student).losses for _ in range(30)]
    for name, least in ((TOTAL, 0.1), ("balance", 0.013)):
        values = [each[name].item() for each in losses]
        assert sum(values[-5:]) / 5 < values[0] - least


def test_student_and_generator_take_turns_without_a_memory(make_plan):
    made = make_plan(synthesis__method="dafl", synthesis__batches=3, student__steps=6)
    assert (made.schedule.turns_in(0), made.schedule.turns_in(1)) == (2, 3)
    assert made.capacity == made.config.synthesis.batch_size
    assert made.embeddings is None


def test_a_teacher_without_a_linear_head_is_refused_unless_the_term_is_off(teacher, distill_config):
    convolutions = nn.Sequential(nn.Conv2d(1, 3, 8), nn.Flatten())
    headless = Classifier(convolutions, "headless", teacher.class_names, teacher.images)
    config = distill_config(synthesis__method="dafl").synthesis
    with pytest.raises(InputError, match=r"activation_weight: 0\.1, but 'headless' has no linear layer"):
        Dafl.check(config, headless)
    assert Dafl.check(config.model_copy(update={"activation_weight": 0.0}), headless) == []
