"""ZSKT's idea: a contest for KL(T || S), and a student that looks where its teacher looks."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from nayer.core.errors import InputError
from nayer.distillation.build import build
from nayer.models.classifier import Classifier
from nayer.student.targets import CachedTargets


@pytest.fixture
def make(make_method):
    return lambda **changes: make_method("zskt", **{"synthesis__steps": 1, **changes})


def maps_of(classifier: Classifier, images: torch.Tensor) -> list[torch.Tensor]:
    """The mean square over channels after each group of blocks, normalised to length 1."""
    network, maps = classifier.network, []
    features = network.stem((images - classifier.mean) / classifier.std)
    for group in network.groups:
        features = group(features)
        maps.append(F.normalize(features.pow(2).mean(1).flatten(1)))
    return maps


def test_the_student_learns_the_divergence_and_the_attention_of_each_group_of_blocks(make, student, teacher):
    method, images = make(), torch.rand(4, 1, 8, 8)
    student.eval()
    with method.learning(student):
        with torch.no_grad():
            teacher_logits = teacher(images)
        loss = method.student_loss(teacher_logits, student(images))
    pairs = zip(maps_of(teacher, images), maps_of(student, images), strict=True)
    attention = sum((ours - theirs).pow(2).mean() for ours, theirs in pairs)
    apart = F.kl_div(student(images).log_softmax(1), teacher_logits.softmax(1), reduction="batchmean")
    classes = len(teacher.class_names)
    published = apart / classes + 250 * attention  # in the published code, KL is a mean over images and classes
    torch.testing.assert_close(loss, classes * published)
    assert attention > 0


def test_attention_reaches_the_student_before_its_head(make, student, teacher):
    """By the divergence alone, a student that answers like its teacher learns nothing; by attention, it does."""
    method, images = make(), torch.rand(4, 1, 8, 8)
    with method.learning(student):
        with torch.no_grad():
            teacher(images)
        logits = student(images)
        method.student_loss(logits.detach(), logits).backward()
    assert student.network.stem.weight.grad.abs().max() > 1e-3
    assert student.network.head.weight.grad.abs().max() < 1e-6
    assert not any(module._forward_pre_hooks for each in (teacher, student) for module in each.modules())


def test_the_generator_seeks_what_the_student_seeks_to_avoid(make, student, teacher):
    method, images = make(augmentation__padding=0), torch.rand(4, 1, 8, 8)
    with method.watching(student):
        losses, logits = method.losses(images, student)
        torch.testing.assert_close(losses["adversarial"], -method_divergence(logits, student(images)))


def method_divergence(teacher_logits: torch.Tensor, student_logits: torch.Tensor) -> torch.Tensor:
    """KL(T || S), written out."""
    shares = teacher_logits.softmax(1)
    return (shares * (shares.log() - student_logits.log_softmax(1))).sum(1).mean()


def test_a_student_without_a_layer_of_its_teachers_sizes_is_refused_unless_the_term_is_off(make, teacher):
    odd = Classifier(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3)), "odd", teacher.class_names, teacher.images
    )
    images = torch.rand(2, 1, 8, 8)
    for weight, refused in ((250.0, True), (0.0, False)):
        method = make(synthesis__attention_weight=weight)
        with method.learning(odd):
            loss = partial(method.student_loss, teacher(images), odd(images))
            if refused:
                with pytest.raises(InputError, match=r"attention_weight: 250, but no BatchNorm2d of the student"):
                    loss()
            else:
                assert loss().isfinite()


def test_no_views_are_cached_of_images_that_are_gone_after_a_batch(make_plan):
    made = make_plan(synthesis__method="zskt", student__cached_targets=2)
    assert made.config.student.cached_targets is None
    assert made.target_gib == 0
    assert not isinstance(build(made).targets, CachedTargets)
