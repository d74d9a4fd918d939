"""Mistakes that a user can mend are refused before anything is written; only code that parameters name is run."""

import pytest

from nayer.core.errors import InputError
from nayer.models import architectures
from nayer.workflow.hooks.checks import CheckHooks


def test_code_that_the_parameters_name_is_trusted_and_no_other(context, parameters, monkeypatch):
    monkeypatch.setattr(architectures, "_trusted", set())
    parameters["teacher"]["architecture"] = "my_network:Teacher"
    parameters["distill"]["student"]["architecture"] = "my_network:Student"
    CheckHooks().after_context_created(context)
    names = ("my_network:Teacher", "my_network:Student", "my_network:Other", "os:system", "wrn-16-1", "timm:resnet18")
    assert [architectures.may_run(name) for name in names] == [True, True, False, False, True, True]


def test_wrong_types_are_refused_when_the_parameters_are_read(context, parameters):
    parameters["distill"]["epochs"] = -1
    with pytest.raises(InputError, match=r"distill\.epochs: -1"):
        CheckHooks().after_context_created(context)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [("encoder", "minilmm", r"lte\.encoder"), ("prompt", "a photo", r"lte\.prompt")],
)
def test_what_the_stages_would_refuse_is_refused_before_they_run_and_nothing_is_written(
    key, value, words, context, parameters, catalog, pipeline, tmp_path
):
    parameters["lte"] |= {"encoder": "minilm", key: value}
    hooks = CheckHooks()
    hooks.after_context_created(context)
    with pytest.raises(InputError, match=words):
        hooks.before_pipeline_run(pipeline("lte"), catalog)
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_could_not_be_written_are_refused(context, catalog, pipeline, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    hooks = CheckHooks()
    hooks.after_context_created(context)
    hooks.before_pipeline_run(pipeline("evaluate"), catalog)
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(InputError, match=r"output folder '.*out' cannot be written"):
        hooks.before_pipeline_run(pipeline("evaluate"), catalog)
