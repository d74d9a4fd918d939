"""What happens around a Kedro run: checks before it, the MLflow run during it, a summary after it."""

import os
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

import click
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines as registered
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from nayer.config import DistillConfig, PromoteConfig, RuntimeConfig, TeacherConfig, check_mlflow, check_types
from nayer.errors import Interrupted, Stopped, within
from nayer.files import digest, sweep
from nayer.locks import hold
from nayer.mlops import killed, tracking
from nayer.models.architectures import trust
from nayer.pipeline_registry import CHAIN, REGISTRY
from nayer.preflight import check_folders, check_parameters
from nayer.summary import print_summary
from nayer.training.resume import going_on, state_file

# The stages that take long, and keep a state.
LOOPS = {"teacher", "distill"}
ARTIFACTS = {".png", ".svg", ".html", ".csv"}
METRICS = ("metrics", "cost", "baselines", "teacher_cost", "distill_cost")


def stages_in(pipeline: Pipeline) -> list[str]:
    """Names of the pipelines of which nodes will run, in the order of the chain."""
    wanted = {node.name for node in pipeline.nodes}
    known = [name for name in (*CHAIN, *REGISTRY) if name in registered]
    return [name for name in known if wanted & {node.name for node in registered[name].nodes}]


def file_of(catalog: DataCatalog, name: str) -> Path | None:
    """The file behind a dataset; None for parameters and what lives in memory."""
    dataset = catalog.get(name) if name in catalog else None
    path = getattr(dataset, "_filepath", None)
    return Path(path) if path is not None else None


def resume_folder(parameters: Mapping[str, Any]) -> str:
    """Where the loops keep their states."""
    return RuntimeConfig.model_validate(parameters["runtime"]).resume_folder


class ProjectHooks:
    """Checks before the first node, and where to look after the last."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Relative paths in parameters mean the project's root, wherever the command was typed."""
        os.chdir(context.project_path)
        check_types(context.config_loader["parameters"])
        check_mlflow(context.config_loader["mlflow"])
        self.parameters, self.settings = context.params, context.config_loader["mlflow"]
        self.resume_folder = resume_folder(self.parameters)
        # What stands in the parameters may be run where a file names it, and no other code.
        teacher = TeacherConfig.model_validate(self.parameters["teacher"])
        trust(teacher.architecture, DistillConfig.model_validate(self.parameters["distill"]).student.architecture)

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Refuse bad input while nothing is written; a teacher in an MLflow store is looked at, too."""
        tracking.point_to_store(Path.cwd(), self.settings["tracking_uri"])
        check_parameters(self.parameters, stages_in(pipeline))
        check_folders(path for name in pipeline.all_outputs() if (path := file_of(catalog, name)))

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Results and the next step; of single nodes only that they are done. All is written, so that states may go."""
        stages, ran = stages_in(pipeline), {node.name for node in pipeline.nodes}
        for stage in stages:
            state_file(self.resume_folder, stage).unlink(missing_ok=True)
        if stages and not {node.name for node in registered[stages[-1]].nodes} <= ran:
            click.echo(f"{', '.join(node.name for node in pipeline.nodes)} done.")
            return
        reports = next(path.parent for name in ("report", "metrics") if (path := file_of(catalog, name)))
        print_summary(stages, self.parameters["scenario"], reports)

    @hook_impl
    def on_pipeline_error(self, error: Exception, pipeline: Pipeline) -> None:
        """What is kept and which command goes on, where the error does not say so itself."""
        if LOOPS & set(stages_in(pipeline)) and not within(error, Interrupted, Stopped):
            error.add_note(going_on(self.resume_folder))


class FileHooks:
    """A run holds its files from before its MLflow run is opened until after that is closed."""

    def __init__(self) -> None:
        self.held = ExitStack()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Where states and an ONNX file go."""
        self.parameters = context.params

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Refuse files that another run holds, and sweep up what killed ones left."""
        self.held.close()  # of a run in this process that could not be opened
        stages = stages_in(pipeline)
        written = [path for name in pipeline.all_outputs() if (path := file_of(catalog, name))]
        written += [state_file(resume_folder(self.parameters), stage) for stage in stages if stage in LOOPS]
        if "promote" in stages and (onnx := PromoteConfig.model_validate(self.parameters["promote"]).onnx):
            written.append(Path(onnx))
        self.held = hold(written, [path for name in pipeline.inputs() if (path := file_of(catalog, name))])
        for path in written:
            sweep(path)

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        """Let go, when MLflow has its copies."""
        self.held.close()

    @hook_impl(trylast=True)
    def on_pipeline_error(self) -> None:
        """Let go."""
        self.held.close()


class MlflowHooks:
    """One MLflow run per Kedro run: parameters, tags, digests and files; metrics by epoch come from the reporter."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the project is and how it is set."""
        self.project, self.parameters = Path(context.project_path), context.params
        self.settings = context.config_loader["mlflow"]

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Open the run; from here on a signal ends it as KILLED."""
        with tracking.answering():
            self.open(pipeline)
        self.catalog = catalog
        # The digests by which the runs of one chain find each other: one run's output is another's input.
        read = {name: path for name in pipeline.inputs() if (path := file_of(catalog, name)) and path.is_file()}
        self.outbox.tags({f"input.{name}": digest(path) for name, path in read.items()})
        self.handlers = {number: signal.signal(number, self.stop) for number in (signal.SIGINT, signal.SIGTERM)}

    def open(self, pipeline: Pipeline) -> None:
        """The run with its tags and parameters, after what earlier ones could not send."""
        tracking.open_experiment(self.project, self.settings["experiment"])
        stages, scenario = stages_in(pipeline), self.parameters["scenario"]
        self.resume_folder = resume_folder(self.parameters)
        tags = {"scenario": scenario, "stages": ",".join(stages), **tracking.source_tags(self.project, scenario)}
        for told in (*tracking.catch_up(self.project), *killed.end_killed(self.settings["experiment"])):
            click.echo(told, err=True)
        self.outbox = tracking.begin(self.project, f"{scenario}: {', '.join(stages)}", {**tags, **killed.mark()})
        groups = {
            name.removeprefix("params:").split(".")[0] for name in pipeline.inputs() if name.startswith("params:")
        }
        tracking.log_parameters({name: value for name, value in self.parameters.items() if name in groups})

    def stop(self, number: int, _: FrameType | None) -> None:
        """Outside of the loops, which keep their state first, a signal ends the run at once."""
        name = signal.Signals(number).name
        raise Interrupted(f"Stopped by {name}. {going_on(self.resume_folder)}", number)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Tag the digest of every file, and log metrics, figures, tables and the report."""
        if dataset_name in METRICS:
            tracking.send_figures(self.outbox, data, "" if dataset_name == "metrics" else f"{dataset_name}.")
        if path := file_of(self.catalog, dataset_name):
            self.outbox.tags({f"output.{dataset_name}": digest(path)})
            if path.suffix in ARTIFACTS:
                self.outbox.artifact(path)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """The run is FINISHED."""
        self.close("FINISHED")

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """The run is KILLED after a signal, else FAILED."""
        self.close("KILLED" if within(error, Interrupted) else "FAILED")

    def close(self, status: str) -> None:
        """Send what is under way, end the run, and give the signals back."""
        try:
            if told := tracking.end(status):
                click.echo(told, err=True)
        finally:
            for number, handler in getattr(self, "handlers", {}).items():
                signal.signal(number, handler)
