"""The student's learning rate over its steps."""

from contextlib import nullcontext
from math import cos, pi

import pytest
import torch

from nayer.models.classifier import Classifier
from nayer.student.trainer import StudentTrainer


@pytest.fixture
def rates(teacher, distill_config):
    def of(steps: int, scaled_at: int | None = None, **changes) -> list[float]:
        config = distill_config(**{f"student__{key}": value for key, value in changes.items()}).student
        student = Classifier.build("wrn-10-1", teacher.class_names, teacher.images)
        trainer = StudentTrainer(student, config, steps, nullcontext)
        found = []
        for step in range(steps):
            if step == scaled_at:
                trainer.scale_rate(0.5)
            found.append(trainer.optimiser.param_groups[0]["lr"])
            trainer.step(torch.rand(4, 1, 8, 8), lambda logits: logits.square().mean())
            trainer.advance()
        return [*found, trainer.optimiser.param_groups[0]["lr"]]

    return of


def test_the_rate_is_a_cosine_from_the_start(rates):
    found = rates(8, learning_rate=0.2, final_learning_rate=0.02, rise=0.0)
    wanted = [0.02 + 0.18 * (1 + cos(pi * step / 8)) / 2 for step in range(9)]
    assert found == pytest.approx(wanted)


def test_it_rises_for_its_share_of_the_steps_and_falls_to_the_same_end(rates):
    found = rates(8, learning_rate=0.2, final_learning_rate=0.02, rise=0.5)
    assert found[:4] == pytest.approx([0.05, 0.10, 0.15, 0.20])
    assert found[4:] == pytest.approx([0.02 + 0.18 * (1 + cos(pi * step / 4)) / 2 for step in range(5)])


@pytest.mark.parametrize("rise", [0.0, 0.25])
def test_a_rate_that_is_halved_stays_so(rates, rise):
    whole, halved = (rates(8, at, learning_rate=0.2, final_learning_rate=0.0, rise=rise) for at in (None, 3))
    assert halved[:3] == whole[:3]
    assert halved[3:8] == pytest.approx([rate / 2 for rate in whole[3:8]])
