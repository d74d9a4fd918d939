"""One MLflow run per command, which records how it ended; signal handlers are restored afterwards."""

import os
import signal

import mlflow
import pytest

from nayer.core.errors import Interrupted
from nayer.mlops.tracking import store
from nayer.workflow.hooks.tracking import TrackingHooks


@pytest.fixture
def hooks(context, tmp_path) -> TrackingHooks:
    store.point_to_store(tmp_path, "sqlite:///mlflow.db")
    made = TrackingHooks()
    made.after_context_created(context)
    yield made
    mlflow.set_tracking_uri(None)


def newest() -> mlflow.entities.Run:
    return mlflow.search_runs(experiment_names=["nayer"], max_results=1, output_format="list")[0]


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "FINISHED"), (ValueError("a fault"), "FAILED"), (Interrupted("Stopped.", signal.SIGTERM), "KILLED")],
)
def test_the_run_says_how_it_ended_and_gives_the_signals_back(error, status, hooks, pipeline, catalog):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    hooks.before_pipeline_run(pipeline("lte", "distill"), catalog)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] != before
    assert newest().info.status == "RUNNING"
    if error:
        hooks.on_pipeline_error(error)
    else:
        hooks.after_pipeline_run()
    assert newest().info.status == status
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_parameters_in_force_are_recorded_with_what_a_method_publishes_and_none_of_other_stages(
    hooks, pipeline, catalog
):
    hooks.before_pipeline_run(pipeline("distill"), catalog)
    hooks.after_pipeline_run()
    found = newest().data
    assert found.params["distill.synthesis.method"] == "nayer"
    assert found.params["distill.synthesis.adversarial_weight"] == "1.33", "a default"
    assert not [name for name in found.params if name.startswith("teacher.")]
    assert (found.tags["scenario"], found.tags["stages"]) == ("test", "distill")


def test_a_signal_outside_of_a_loop_ends_the_run_with_what_is_kept(hooks, pipeline, catalog):
    hooks.before_pipeline_run(pipeline("lte"), catalog)
    with pytest.raises(Interrupted, match=r"Stopped by SIGTERM\. No state had been kept"):
        os.kill(os.getpid(), signal.SIGTERM)
    hooks.on_pipeline_error(Interrupted("Stopped.", signal.SIGTERM))


def test_files_and_figures_are_recorded_when_they_are_saved(hooks, pipeline, catalog):
    hooks.before_pipeline_run(pipeline("evaluate"), catalog)
    metrics = {"student": {"top1": 0.5}, "digests": {"student": "abc"}}
    catalog["metrics"].save(metrics)
    hooks.after_dataset_saved("metrics", metrics)
    hooks.after_pipeline_run()
    found = newest().data
    assert found.metrics["student.top1"] == 0.5
    assert found.tags["digests.student"] == "abc"
    assert len(found.tags["output.metrics"]) == 64
