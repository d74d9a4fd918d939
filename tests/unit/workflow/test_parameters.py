"""Wrong parameters are reported with their key, their value, and what to do."""

import copy

import pytest

from nayer.core.errors import InputError
from nayer.workflow.parameters import check_mlflow, check_types, groups


@pytest.fixture
def parameters(read_parameters, runtime) -> dict:
    found = {name: read_parameters("test", name) for name in groups() if name != "runtime"}
    return copy.deepcopy({"scenario": "test", "seed": 0, "runtime": runtime.model_dump(), **found})


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
        (("distill",), 3, "distill: 3 is refused"),
        (("distill",), None, "distill: None is refused"),
        (("distill", "student"), [1], "distill.student: [1] is refused"),
        (("teacher", "normalisation"), {"mean": [0.5]}, "teacher.normalisation.std: is missing"),
        (("teacher", "normalisation"), {"mean": [0.5], "std": [1], "sdt": 1}, "teacher.normalisation: unknown value"),
        (("teacher", "normalisation"), {"mean": [0.5], "std": [1e-50]}, "teacher.normalisation.std.0: 1e-50"),
        (("teacher", "training", "learning_rate"), True, "teacher.training.learning_rate: True"),
        (("teacher", "training", "learning_rate"), "1e-3", "teacher.training.learning_rate: '1e-3'"),
        (("teacher", "training", "momentum"), 1.0, "teacher.training.momentum: 1.0"),
        (("teacher", "training", "augmentation", "flip"), "no", "teacher.training.augmentation.flip: 'no'"),
        (("distill", "synthesis", "betas"), [0.5, 1.0], "distill.synthesis.betas.1: 1.0"),
        (("distill", "student", "temperature"), 1e200, "distill.student.temperature: 1e+200"),
        (("distill", "epochs"), 10**30, "distill.epochs: 1000"),
        (("runtime", "threads"), 10**6, "runtime.threads: 1000000"),
        (("lte", "random_dim"), 10**9, "lte.random_dim: 1000000000"),
        (("lte", "prompt"), "a\0 {}", "lte.prompt: 'a"),
        (("data", "folder"), "x" * 300, "data.folder: 'xxx"),
        (("data", "class_names"), "x" * 300, "data.class_names: 'xxx"),
        (("lte", "encoder"), "~nobody-of-that-name/x", "lte.encoder: '~nobody-of-that-name/x' is refused. There is no"),
        (("promote", "model_name"), "a/b", "promote.model_name: 'a/b'"),
        (("scenario",), None, "scenario: None"),
        (("scenario",), "../x", "scenario: '../x'"),
        ((5,), {}, "unknown value '5'"),
        (("seed",), -3, "seed: -3"),
        (("distill", "held_out"), 40, "distill.held_out: is called distill.probe_images now"),
        (("distill", "student", "kept_views"), 8, "is called distill.student.cached_targets now; rename it"),
        (("distill", "student", "renewed_views"), 0, "is called distill.student.refreshed_targets now; rename it"),
        (
            ("distill", "synthesis", "method"),
            "nayr",
            "distill.synthesis.method: unknown value 'nayr'. Did you mean 'nayer'",
        ),
        (("distill", "synthesis", "method"), None, "distill.synthesis.method: unknown value 'None'"),
        (("distill", "synthesis"), {"steps": 1}, "distill.synthesis.method: is missing"),
        (("distill", "synthesis", "latnt"), 3, "distill.synthesis: unknown value 'latnt'. Did you mean 'latent'"),
        (("distill", "synthesis", "steps"), 0, "distill.synthesis.steps: 0 is refused"),
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


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        ("teacher", "weights", "https://user:tok3n@host/teacher.pt"),
        ("teacher", "weights", "https://tok3n@host/teacher.pt"),
        ("lte", "encoder", "https://user:with@tok3n@host/x"),
        ("runtime", "address", "user:tok3n@node1:29400"),
    ],
)
def test_a_password_is_refused_and_not_repeated(parameters, group, key, value):
    parameters[group][key] = value
    with pytest.raises(InputError, match=rf"{group}\.{key}: ") as caught:
        check_types(parameters)
    assert "tok3n" not in str(caught.value)


def test_a_long_value_is_shown_by_its_beginning(parameters):
    parameters["lte"]["prompt"] = "x" * 10**6
    with pytest.raises(InputError, match=r"lte\.prompt: 'xxx") as caught:
        check_types(parameters)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("settings", [{}, {"tracking_uri": "sqlite:///mlflow.db"}, {"experiment": 3}])
def test_settings_of_mlflow_are_named_too(settings):
    with pytest.raises(InputError, match=r"mlflow\."):
        check_mlflow(settings)


def test_a_key_of_another_method_is_answered_with_those_of_the_chosen_one(parameters):
    parameters["distill"]["synthesis"] |= {"method": "dafl", "balance_weigth": 1.0}
    with pytest.raises(
        InputError, match=r"distill\.synthesis: unknown value 'balance_weigth'. Did you mean 'balance_wei"
    ):
        check_types(parameters)


def test_what_a_method_publishes_needs_not_be_said(parameters):
    parameters["distill"]["synthesis"]["method"] = "dafl"
    found = groups()["distill"].model_validate(parameters["distill"]).synthesis
    assert (found.one_hot_weight, found.activation_weight, found.balance_weight) == (1.0, 0.1, 5.0)
