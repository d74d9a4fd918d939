"""DFQ's idea: images as hard for the student as the teacher's statistics allow."""

import pytest
import torch
import torch.nn.functional as F

from nayer.core.errors import InputError
from nayer.models.classifier import Classifier
from nayer.synthesis.method import TOTAL
from nayer.synthesis.methods.dfq import Dfq


@pytest.fixture
def make(make_method):
    return lambda **changes: make_method("dfq", **{"synthesis__steps": 1, **changes})


def test_the_terms_are_those_of_the_paper(make, student, teacher):
    method = make(augmentation__padding=0)
    images = torch.rand(6, 1, 8, 8)
    with method.watching(student):
        losses, logits = method.losses(images, student)
        asked = student(images)
    shares, log_shares = logits.softmax(1), logits.log_softmax(1)
    apart = (shares * (log_shares - asked.log_softmax(1))).sum(1).mean()
    torch.testing.assert_close(losses["adversarial"], -apart)
    torch.testing.assert_close(losses["one_hot"], -log_shares.max(1).values.mean())
    mean = shares.mean(0)
    torch.testing.assert_close(losses["balance"], (mean * mean.log()).sum())
    first = teacher.network.stem((images - teacher.mean) / teacher.std)
    layer = next(module for module in teacher.modules() if isinstance(module, torch.nn.BatchNorm2d))
    least = (first.mean((0, 2, 3)) - layer.running_mean).norm()
    assert losses["bn"] > least, "a sum over all layers"
    terms = [losses[name] for name in ("adversarial", "bn", "one_hot", "balance")]
    torch.testing.assert_close(losses[TOTAL], terms[0] + terms[1] + terms[2] + 20 * terms[3])


def test_the_generator_learns_what_the_student_gets_wrong(make, student, teacher):
    with torch.no_grad():
        teacher.network.head.weight *= 20
    off = {f"synthesis__{name}_weight": 0.0 for name in ("bn", "one_hot", "balance")}
    method = make(synthesis__latent=32, synthesis__generator_width=16, synthesis__learning_rate=0.01, **off)
    student.eval()
    apart = []
    for _ in range(20):
        images = method.step(student).images.float() / 255
        apart.append(F.kl_div(student(images).log_softmax(1), teacher(images).softmax(1), reduction="batchmean").item())
    assert sum(apart[-5:]) > 1.1 * sum(apart[:5])


def test_statistics_are_of_the_batch_alone(make, student):
    method = make()
    for _ in range(2):
        method.step(student)
    assert method.statistics.running == []


def test_a_teacher_without_batchnorm_is_refused_unless_the_term_is_off(teacher, distill_config):
    plain = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 8), torch.nn.Flatten())
    bare = Classifier(plain, "bare", teacher.class_names, teacher.images)
    config = distill_config(synthesis__method="dfq").synthesis
    with pytest.raises(InputError, match=r"bn_weight: 1, but 'bare' has no BatchNorm2d"):
        Dfq.check(config, bare)
    assert "without that term" in Dfq.check(config.model_copy(update={"bn_weight": 0.0}), bare)[0]
