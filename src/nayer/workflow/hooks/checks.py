"""Hooks for checks before the first node: parameters, this machine, and output folders."""

import os
from pathlib import Path

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from nayer.core.files import check_folders
from nayer.workflow.catalog import files_of
from nayer.workflow.stages import stages_in


class CheckHooks:
    """Refuses mistakes that a user can correct, before anything is written."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Check parameters and MLflow settings; change to the project's root, which relative paths in them refer to."""
        from nayer.models.architectures import trust
        from nayer.workflow.parameters import Parameters, check_mlflow, check_types

        os.chdir(context.project_path)
        check_types(context.config_loader["parameters"])
        check_mlflow(context.config_loader["mlflow"])
        self.parameters = Parameters.model_validate(context.params)
        self.settings = context.config_loader["mlflow"]
        # Code named in the parameters may be run where a weights file names it, too; no other code may.
        trust(self.parameters.teacher.architecture, self.parameters.distill.student.architecture)

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Refuse bad input before anything is written; set up MLflow first, as the teacher may come from its store."""
        from nayer.mlops.tracking.store import point_to_store
        from nayer.workflow.preflight import check_parameters

        point_to_store(Path.cwd(), self.settings["tracking_uri"])
        check_parameters(self.parameters, stages_in(pipeline))
        check_folders(files_of(catalog, pipeline.all_outputs()).values())
