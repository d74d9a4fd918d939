"""Hooks for a run's files: lock them against other runs, remove leftovers of killed runs, delete states at the end."""

from contextlib import ExitStack
from pathlib import Path

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from nayer.core.files import sweep
from nayer.engine.state_folder import state_file
from nayer.workflow.catalog import files_of
from nayer.workflow.locks import hold
from nayer.workflow.stages import LOOPS, stages_in


class FileHooks:
    """Locks the files of a run from before its MLflow run is opened until after that is closed."""

    def __init__(self) -> None:
        self.held = ExitStack()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Read the parameters that say where states and the ONNX file go."""
        from nayer.workflow.parameters import Parameters

        self.parameters = Parameters.model_validate(context.params)

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Refuse files that another run has locked, and remove leftovers of killed runs."""
        self.held.close()  # left by an earlier run in this process that failed to start
        stages = stages_in(pipeline)
        self.states = [self.state_of(stage) for stage in stages if stage in LOOPS]
        written = [*files_of(catalog, pipeline.all_outputs()).values(), *self.states]
        if "promote" in stages and (onnx := self.parameters.promote.onnx):
            written.append(Path(onnx))
        self.held = hold(written, files_of(catalog, pipeline.inputs()).values())
        for path in written:
            sweep(path)

    def state_of(self, stage: str) -> Path:
        """File in which a stage keeps its state."""
        return state_file(self.parameters.runtime.resume_folder, stage)

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        """Delete the states, as all outputs are written, and unlock the files, as MLflow has its copies."""
        for state in self.states:
            state.unlink(missing_ok=True)
        self.held.close()

    @hook_impl(trylast=True)
    def on_pipeline_error(self) -> None:
        """Unlock the files."""
        self.held.close()
