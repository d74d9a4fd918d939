"""One MLflow run per Kedro run: parameters, tags, digests and files; the reporter adds metrics by epoch."""

import signal
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

import click
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from nayer.core.errors import Interrupted, within
from nayer.core.files import digest
from nayer.engine.signals import handling
from nayer.engine.state_folder import resume_hint
from nayer.workflow.catalog import files_of
from nayer.workflow.locks import in_turn
from nayer.workflow.stages import stages_in

ARTIFACTS = {".png", ".svg", ".html", ".csv"}
METRICS = ("metrics", "cost", "baselines", "teacher_cost", "distill_cost", "int8_metrics", "int8_cost")


class TrackingHooks:
    """Opens the run before the first node and ends it as FINISHED, FAILED or KILLED."""

    def __init__(self) -> None:
        self.signals = ExitStack()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the project's folder, its parameters and its MLflow settings."""
        from nayer.workflow.parameters import Parameters

        self.project, self.parameters = Path(context.project_path), Parameters.model_validate(context.params)
        self.settings = context.config_loader["mlflow"]

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Open the run; from here on a signal ends it as KILLED."""
        from nayer.mlops.tracking import run, store

        # Two runs that start together would both make the store, or send what earlier runs kept.
        with in_turn(store.home(self.project) / run.OUTBOX), run.answering():
            self.open(pipeline)
        self.catalog = catalog
        # Digests link the runs of one chain: the output of one run is the input of another.
        read = {name: path for name, path in files_of(catalog, pipeline.inputs()).items() if path.is_file()}
        self.outbox.tags({f"input.{name}": digest(path) for name, path in read.items()})
        self.signals.enter_context(handling(self.stop))

    def open(self, pipeline: Pipeline) -> None:
        """Send what earlier runs could not send and end killed ones, then open the run with its tags and parameters."""
        from nayer.mlops.tracking import run, stale_runs, store

        store.open_experiment(self.project, self.settings["experiment"])
        stages, scenario = stages_in(pipeline), self.parameters.scenario
        tags = {"scenario": scenario, "stages": ",".join(stages), **run.source_tags(self.project, scenario)}
        for told in (*run.catch_up(self.project), *stale_runs.end_killed(self.settings["experiment"])):
            click.echo(told, err=True)
        self.outbox = run.begin(self.project, f"{scenario}: {', '.join(stages)}", {**tags, **stale_runs.mark()})
        names = {name.removeprefix("params:").split(".")[0] for name in pipeline.inputs() if name.startswith("params:")}
        run.log_parameters({name: value for name, value in self.parameters if name in names})

    def stop(self, number: int, _: FrameType | None) -> None:
        """Handle a signal by ending the run at once; the training loops have a handler that saves their state first."""
        kept = resume_hint(self.parameters.runtime.resume_folder)
        raise Interrupted(f"Stopped by {signal.Signals(number).name}. {kept}", number)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Tag the digest of every file, and log metrics, figures, tables and reports."""
        from nayer.mlops.tracking import run

        if dataset_name in METRICS:
            run.send_figures(self.outbox, data, "" if dataset_name == "metrics" else f"{dataset_name}.")
        for path in files_of(self.catalog, [dataset_name]).values():
            self.outbox.tags({f"output.{dataset_name}": digest(path)})
            if path.suffix in ARTIFACTS:
                self.outbox.artifact(path)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """End the run as FINISHED."""
        self.close("FINISHED")

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """End the run as KILLED after a signal, otherwise as FAILED."""
        self.close("KILLED" if within(error, Interrupted) else "FAILED")

    def close(self, status: str) -> None:
        """Send what is pending, end the run, and restore the signal handlers."""
        from nayer.mlops.tracking import run

        with self.signals:
            if told := run.end(status):
                click.echo(told, err=True)
