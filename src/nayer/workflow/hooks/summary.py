"""Hook for the message at the end of a run: results and the next step, or what was kept and how to resume."""

import click
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from nayer.core.errors import Interrupted, Stopped, within
from nayer.engine.state_folder import resume_hint
from nayer.workflow.catalog import files_of
from nayer.workflow.stages import LOOPS, is_complete, stages_in
from nayer.workflow.summary import print_summary


class SummaryHooks:
    """Prints the message at the end of a run."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Read the parameters, for the scenario and the folder of states."""
        from nayer.workflow.parameters import Parameters

        self.parameters = Parameters.model_validate(context.params)

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Print results and the next step, or, if only some nodes of a stage ran, that they are done."""
        stages = stages_in(pipeline)
        if stages and not is_complete(stages[-1], pipeline):
            click.echo(f"{', '.join(node.name for node in pipeline.nodes)} done.")
            return
        reports = next(iter(files_of(catalog, ("report", "metrics")).values())).parent
        print_summary(stages, self.parameters.scenario, reports)

    @hook_impl
    def on_pipeline_error(self, error: Exception, pipeline: Pipeline) -> None:
        """Add to the error what was kept and which command resumes, unless it already says so."""
        if LOOPS & set(stages_in(pipeline)) and not within(error, Interrupted, Stopped):
            error.add_note(resume_hint(self.parameters.runtime.resume_folder))
