"""Kedro settings: https://docs.kedro.org/en/stable/configure/configuration_basics/."""

from nayer.workflow.configuration import CONFIG_LOADER_ARGS, ConfigLoader
from nayer.workflow.hooks.checks import CheckHooks
from nayer.workflow.hooks.files import FileHooks
from nayer.workflow.hooks.summary import SummaryHooks
from nayer.workflow.hooks.tracking import TrackingHooks

__all__ = ["CONFIG_LOADER_ARGS", "CONFIG_LOADER_CLASS", "HOOKS"]

CONFIG_LOADER_CLASS = ConfigLoader

# Called in reverse order: checks come first, then files are locked, then an MLflow run is opened.
HOOKS = (TrackingHooks(), FileHooks(), SummaryHooks(), CheckHooks())
