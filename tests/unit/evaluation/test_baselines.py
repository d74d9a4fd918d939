"""Ceiling and floor: the same student and recipe, on real data and on noise."""

import pytest
import torch

from nayer.datasets import ImageSet, RealData
from nayer.engine.progress import NullReporter
from nayer.evaluation.baselines import accuracy_of
from nayer.models.classifier import Classifier


@pytest.fixture
def real(teacher) -> RealData:
    """Three classes told apart by which third of the image is bright."""
    torch.manual_seed(0)
    labels = torch.arange(120) % 3
    images = torch.randint(0, 60, (120, 1, 8, 8), dtype=torch.uint8)
    for label, rows in enumerate((slice(0, 2), slice(3, 5), slice(6, 8))):
        images[labels == label, :, rows] += 150
    everything = ImageSet(images, labels)
    return RealData(everything[:60], everything[60:90], everything[90:], teacher.class_names, teacher.images)


@pytest.fixture
def recipe(distill_config):
    return distill_config(
        epochs=4, student__steps=15, augmentation={"padding": 0, "flip": False}, student__learning_rate=0.1
    )


def taught(real: RealData) -> Classifier:
    """A teacher that knows the classes."""
    torch.manual_seed(3)
    made = Classifier.build("wrn-10-1", real.class_names, real.spec).train()
    optimiser = torch.optim.Adam(made.parameters(), 1e-2)
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(made(real.train.images / 255), real.train.labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return made.eval()


def test_real_labels_and_a_teacher_on_real_images_teach_the_student(real, recipe, runtime):
    teacher = taught(real)
    for name in ("real", "kd_real"):
        assert accuracy_of(name, teacher, real, recipe, runtime, 0, NullReporter()) > 0.9


def test_a_teachers_features_teach_where_they_are_asked_for(real, recipe, runtime):
    compared = recipe.model_copy(update={"student": recipe.student.model_copy(update={"feature_weight": 1.0})})
    assert accuracy_of("kd_real", taught(real), real, compared, runtime, 0, NullReporter()) > 0.9
    plain, same = (
        accuracy_of("real", taught(real), real, each, runtime, 0, NullReporter()) for each in (recipe, compared)
    )
    assert plain == same, "real labels come without a teacher"


def test_the_floor_never_shows_the_student_a_real_image(real, recipe, runtime):
    teacher = taught(real)
    seen = []
    hook = teacher.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    accuracy_of("kd_noise", teacher, real, recipe, runtime, 0, NullReporter())
    hook.remove()
    pixels = torch.cat(seen)
    assert pixels.mean().item() == pytest.approx(0.5, abs=0.02)
    assert pixels.std().item() == pytest.approx(12**-0.5, abs=0.02)


def test_the_same_seed_gives_the_same_figure(teacher, real, recipe, runtime):
    figures = {accuracy_of("real", teacher, real, recipe, runtime, 7, NullReporter()) for _ in range(2)}
    assert len(figures) == 1


def test_a_baseline_starts_where_the_student_does(real, distill_config, runtime):
    teacher, changes = taught(real), {"epochs": 1, "student__steps": 1, "student__architecture": "wrn-10-1"}
    found = [
        accuracy_of(
            "kd_noise", teacher, real, distill_config(**changes, student__start=start), runtime, 1, NullReporter()
        )
        for start in ("random", "teacher")
    ]
    assert found[0] < 0.7 < found[1]
