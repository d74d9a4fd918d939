"""Wrong parameters are named with their key, their value, and the way out."""

import copy

import pytest

from nayer.config import GROUPS, check_types
from nayer.errors import InputError


@pytest.fixture
def parameters(read_parameters, runtime) -> dict:
    groups = {name: read_parameters("test", name) for name in GROUPS if name != "runtime"}
    return copy.deepcopy({"scenario": "test", "seed": 0, "runtime": runtime.model_dump(), **groups})


def test_the_test_scenario_is_right(parameters):
    check_types(parameters)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("distill", "epochs"), -1, "distill.epochs: -1"),
        (("distill", "epochs"), 1.5, "distill.epochs: 1.5"),
        (("distill", "synthesis", "ce_weight"), float("nan"), "distill.synthesis.ce_weight: nan"),
        (("distill", "student", "temperature"), float("inf"), "distill.student.temperature: inf"),
        (("distill", "student", "temprature"), 4, "Did you mean 'temperature'"),
        (("teacher", "training", "momentum"), 1.5, "teacher.training.momentum: 1.5"),
        (("runtime", "precision"), "fp16", "runtime.precision: 'fp16'"),
        (("evaluate", "baselines"), ["reel"], "evaluate.baselines.0: 'reel'"),
        (("seed",), -3, "seed: -3"),
        (("distil",), {}, "Did you mean 'distill'"),
    ],
)
def test_a_wrong_value_is_named(parameters, path, value, words):
    *groups, last = path
    place = parameters
    for group in groups:
        place = place[group]
    place[last] = value
    with pytest.raises(InputError) as caught:
        check_types(parameters)
    assert words in str(caught.value)


def test_a_missing_value_is_named(parameters):
    del parameters["distill"]["epochs"]
    with pytest.raises(InputError, match=r"distill\.epochs: is missing"):
        check_types(parameters)


def test_all_mistakes_are_told_at_once(parameters):
    parameters["distill"]["epochs"] = 0
    parameters["teacher"]["training"]["epochs"] = 0
    with pytest.raises(InputError) as caught:
        check_types(parameters)
    assert len(str(caught.value).splitlines()) == 2
