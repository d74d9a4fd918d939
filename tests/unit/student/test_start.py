"""The student before its first step: random, or from its teacher."""

import pytest
import torch

from nayer.core.errors import InputError
from nayer.student.start import new_student


@pytest.fixture
def config(distill_config):
    return lambda **changes: distill_config(**{f"student__{name}": value for name, value in changes.items()}).student


def test_a_random_student_knows_nothing_of_its_teacher(teacher, config):
    students = [new_student(teacher, config(architecture="wrn-10-1", start="random")) for _ in range(2)]
    stems = [each.network.stem.weight for each in (*students, teacher)]
    assert not any(torch.equal(*pair) for pair in ((stems[0], stems[1]), (stems[0], stems[2])))


def test_a_student_that_starts_from_its_teacher_takes_its_weights_and_leaves_them_be(teacher, config):
    student = new_student(teacher, config(architecture="wrn-10-1", start="teacher"))
    before = teacher.network.stem.weight.clone()
    assert torch.equal(student.network.stem.weight, before)
    student.network.stem.weight.data.zero_()
    assert torch.equal(teacher.network.stem.weight, before)


def test_a_student_of_another_family_cannot_start_from_its_teacher(teacher, config):
    words = "distill.student.start: 'teacher' is for .* most layers of resnet-18 have no counterpart in wrn-10-1; set"
    with pytest.raises(InputError, match=words):
        new_student(teacher, config(architecture="resnet-18", start="teacher"))
