"""The self-test of a device passes on this machine, and says what is wrong where something is."""

from itertools import count

import pytest
import torch
from harness import selftest

from nayer.student.trainer import StudentTrainer
from nayer.synthesis.methods.nayer import Nayer


def test_this_processor_passes(monkeypatch):
    monkeypatch.delitem(selftest.CHECKS, "compiled")  # takes a compiler, and a minute
    found = list(selftest.run(torch.device("cpu")))
    assert [each.name for each in found if not each.passed] == []
    details = {each.name: each.detail for each in found}
    assert details["resume"] == "to the bit"
    parts = ("losses", "generator", "noisy layer", "student")
    assert details["a step as on the CPU"] == f"off by: {', '.join(f'{part} 0.0e+00' for part in parts)}"


def test_what_a_device_gets_wrong_is_told_and_the_rest_is_still_tried(monkeypatch):
    def wrong(device: torch.device) -> str:
        return selftest.require(False, f"{device} cannot add")

    monkeypatch.setattr(selftest, "CHECKS", {"sums": wrong, "formats": selftest.channels_last})
    found = list(selftest.run(torch.device("cpu")))
    assert [(each.name, each.passed) for each in found] == [("sums", False), ("formats", True)]
    assert found[0].detail == "AssertionError: cpu cannot add"


def half_a_step(step):
    return lambda trainer, views, loss: step(trainer, views, lambda answers: loss(answers) / 2)


def no_step(step):
    return lambda *_: None


def half_the_gradient(make_images):
    def made(method):
        images = make_images(method)
        images.register_hook(lambda gradient: gradient / 2)
        return images

    return made


@pytest.mark.parametrize(
    ("kind", "name", "right", "wrong", "told"),
    [
        (StudentTrainer, "step", 1, half_a_step, r"generator 0\.0e\+00, .*, student 5\.0e-01"),
        (StudentTrainer, "step", 1, no_step, r"student 1\.0e\+00"),
        (Nayer, "make_images", 3, half_the_gradient, r"losses 0\.0e\+00, generator 5\.0e-01, noisy layer 5\.0e-01"),
    ],
    ids=["half a step", "no step", "half the gradient"],
)
def test_a_step_that_is_another_than_the_processors_does_not_pass(monkeypatch, kind, name, right, wrong, told):
    calls, asked = count(), getattr(kind, name)  # the first calls are those of the processor

    def changed(self, *args):
        return (asked if next(calls) < right else wrong(asked))(self, *args)

    monkeypatch.setattr(kind, name, changed)
    with pytest.raises(AssertionError, match=told):
        selftest.equal_steps(torch.device("cpu"))


def test_what_is_no_number_does_not_pass(monkeypatch):
    monkeypatch.setattr(selftest, "relative", lambda *_: float("nan"))
    with pytest.raises(AssertionError, match="off by: losses nan"):
        selftest.equal_steps(torch.device("cpu"))


def test_values_in_fp32_are_compared_without_tf32_and_on_the_same_numbers_every_time():
    with selftest.exact():
        assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cudnn.enabled
    assert torch.backends.cudnn.allow_tf32
    names = {"one": lambda _: str(torch.rand(1)), "two": lambda _: str(torch.rand(1))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selftest, "CHECKS", names)
        first, second = (each.detail for each in selftest.run(torch.device("cpu")))
    assert first == second
