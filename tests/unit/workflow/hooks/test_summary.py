"""The last message of a run: its results and what to type next, or what is kept and how to continue."""

import signal

import pytest

from nayer.core.errors import Interrupted
from nayer.workflow.hooks.summary import SummaryHooks


@pytest.fixture
def hooks(context) -> SummaryHooks:
    made = SummaryHooks()
    made.after_context_created(context)
    return made


def test_a_stage_that_is_done_names_the_next_command(hooks, pipeline, catalog, capsys):
    hooks.after_pipeline_run(pipeline("lte"), catalog)
    assert "lte done. Next: kedro run --pipelines teacher --env test" in capsys.readouterr().out


def test_of_a_part_of_a_stage_it_says_only_that_it_is_done(hooks, pipeline, catalog, capsys):
    hooks.after_pipeline_run(pipeline("evaluate").only_nodes("compare_models"), catalog)
    assert capsys.readouterr().out == "compare_models done.\n"


@pytest.mark.parametrize(
    ("stage", "error", "noted"),
    [
        ("distill", OSError("disk"), True),
        ("evaluate", OSError("disk"), False),
        ("distill", Interrupted("It says so itself.", signal.SIGINT), False),
    ],
)
def test_a_failed_long_stage_says_how_to_go_on_where_the_error_does_not(stage, error, noted, hooks, pipeline, tmp_path):
    state = tmp_path / "resume" / "distill" / "state.pt"
    state.parent.mkdir(parents=True)
    state.touch()
    hooks.on_pipeline_error(error, pipeline(stage))
    notes = getattr(error, "__notes__", [])
    assert bool(notes) is noted
    assert all("the last state of distill. The same command goes on from there." in note for note in notes)
