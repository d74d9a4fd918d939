"""The student before its first step: random, or made from its teacher, with fitted layers or without."""

import copy

import pytest
import torch
import torch.nn.functional as F

from nayer.core.errors import InputError
from nayer.core.images import ImageSpec
from nayer.models.classifier import Classifier
from nayer.student.start import blank_student, new_student
from nayer.synthesis.parts.leaves import dead_leaves
from nayer.synthesis.parts.matching import MatchedLeaves


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


def test_a_reconstructed_student_answers_more_like_its_teacher_than_one_that_inherits(config):
    torch.manual_seed(0)
    spec = ImageSpec(16, 3, (0.5,) * 3, (0.25,) * 3)
    teacher = Classifier.build("wrn-10-2", ("a", "b", "c"), spec).eval()
    before = copy.deepcopy(teacher.state_dict())
    pictures = dead_leaves(teacher, 64)
    errors = {}
    for start in ("teacher", "reconstructed"):
        student = new_student(teacher, config(architecture="wrn-10-1", start=start)).eval()
        errors[start] = F.mse_loss(student(pictures), teacher(pictures)).item()
    assert errors["reconstructed"] < errors["teacher"] / 2
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


def test_a_student_is_reconstructed_on_pictures_that_were_matched_to_its_teacher(teacher, config, monkeypatch):
    drawn, made = [], MatchedLeaves.draw
    monkeypatch.setattr(MatchedLeaves, "draw", lambda *asked: drawn.append(asked[1:]) or made(*asked))
    new_student(teacher, config(architecture="wrn-10-1", start="reconstructed"))
    assert drawn == [(512, 8)]


def test_from_one_seed_students_are_reconstructed_alike(teacher, config):
    def made() -> dict:
        torch.manual_seed(3)
        return new_student(teacher, config(architecture="wrn-10-1", start="reconstructed")).network.state_dict()

    first, second = made(), made()
    assert all(torch.equal(first[name], value) for name, value in second.items())


def test_a_check_costs_no_pictures(teacher, config, monkeypatch):
    monkeypatch.setattr("nayer.student.start.MatchedLeaves", lambda *_: pytest.fail("drawn"))
    blank_student(teacher, config(architecture="wrn-10-1", start="reconstructed"))


def test_a_student_of_another_family_cannot_start_from_its_teacher(teacher, config):
    for start in ("teacher", "reconstructed"):
        words = f"distill.student.start: '{start}' is for .* of resnet-18 have no counterpart in wrn-10-1; set"
        with pytest.raises(InputError, match=words):
            new_student(teacher, config(architecture="resnet-18", start=start))
