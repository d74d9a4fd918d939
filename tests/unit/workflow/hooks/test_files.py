"""A run's files are locked until it is over; kept states are removed once all results are saved, and only then."""

import fcntl
import os
from pathlib import Path

import pytest

from nayer.core.errors import InputError
from nayer.workflow.hooks.files import FileHooks
from nayer.workflow.locks import lock_of


@pytest.fixture
def hooks(context) -> FileHooks:
    made = FileHooks()
    made.after_context_created(context)
    return made


@pytest.fixture
def state(tmp_path) -> Path:
    """State file that an interrupted distillation left."""
    file = tmp_path / "resume" / "distill" / "state.pt"
    file.parent.mkdir(parents=True)
    file.touch()
    return file


def is_held(path: Path) -> bool:
    handle = os.open(lock_of(path), os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)


def test_outputs_inputs_and_states_are_held_and_let_go_when_the_run_is_over(hooks, catalog, pipeline, state, tmp_path):
    hooks.before_pipeline_run(pipeline("distill"), catalog)
    files = [tmp_path / "out" / f"{name}.json" for name in ("student", "teacher")] + [state]
    assert all(map(is_held, files))
    hooks.after_pipeline_run()
    assert not any(map(is_held, files))


def test_a_second_run_is_refused_while_the_first_works(hooks, context, catalog, pipeline):
    hooks.before_pipeline_run(pipeline("distill"), catalog)
    other = FileHooks()
    other.after_context_created(context)
    with pytest.raises(InputError, match="is in use"):
        other.before_pipeline_run(pipeline("distill"), catalog)
    hooks.on_pipeline_error()
    other.before_pipeline_run(pipeline("distill"), catalog)
    other.on_pipeline_error()


def test_a_state_goes_after_a_whole_run_and_stays_after_a_failure(hooks, catalog, pipeline, state):
    hooks.before_pipeline_run(pipeline("distill"), catalog)
    hooks.on_pipeline_error()
    assert state.exists()
    hooks.before_pipeline_run(pipeline("evaluate"), catalog)
    hooks.after_pipeline_run()
    assert state.exists(), "it belongs to a stage that did not run"
    hooks.before_pipeline_run(pipeline("distill", "evaluate"), catalog)
    hooks.after_pipeline_run()
    assert not state.exists()


def test_what_killed_runs_left_half_written_is_swept(hooks, catalog, pipeline, tmp_path, state):
    halves = [tmp_path / "out" / ".student.json.abc.part", state.with_name(".state.pt.abc.part")]
    (tmp_path / "out").mkdir()
    for half in halves:
        half.touch()
    hooks.before_pipeline_run(pipeline("distill"), catalog)
    assert not any(half.exists() for half in halves)
    hooks.on_pipeline_error()
