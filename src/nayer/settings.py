"""Kedro settings: https://docs.kedro.org/en/stable/configure/configuration_basics/."""

from typing import Any

from nayer.hooks import FileHooks, MlflowHooks, ProjectHooks

# Called in reverse order: the checks of ProjectHooks come first, then files are held, then a run is opened.
HOOKS = (MlflowHooks(), FileHooks(), ProjectHooks())
CONFIG_LOADER_ARGS: dict[str, Any] = {
    "base_env": "base",
    "default_run_env": "digits",
    # A scenario states only what differs from the base.
    "merge_strategy": {"parameters": "soft"},
    "config_patterns": {"mlflow": ["mlflow*"]},
}
