"""The project's commands, with one sentence instead of a traceback for mistakes that a user can correct."""

import os
from pathlib import Path
from typing import Any

import click
import yaml
from kedro.config import MissingConfigException
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.project import configure_logging, pipelines
from kedro.framework.startup import bootstrap_project
from kedro.io import DatasetError
from kedro.utils import find_kedro_project
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from nayer.core.errors import InputError, Interrupted, Refused, Stopped, first_line, unknown, within
from nayer.core.project import scenarios
from nayer.scenarios.command import scenario
from nayer.workflow.configuration import place_in


@click.group()
def cli() -> None:
    """Commands of this project."""


def check_names(project: Path, env: str | None, names: list[str]) -> None:
    """Refuse unknown scenarios and pipelines, suggesting the nearest known one."""
    if env and env not in scenarios(project):
        raise unknown("--env", env, scenarios(project))
    for name in names:
        if name not in pipelines:
            raise unknown("--pipelines", name, [known for known in pipelines if known != "__default__"])


def sentence(error: BaseException) -> str | None:
    """Message about an error that the user can correct; None for a fault of the program."""
    if found := within(error, InputError, Interrupted, Refused, Stopped):
        # An InputError that a signal caused is not a mistake in the input.
        return str(within(found, Interrupted) or found if isinstance(found, InputError) else found)
    if isinstance(error, MissingConfigException):
        return f"{first_line(error)}; correct --conf-source, --env or KEDRO_ENV."
    if isinstance(error, DatasetError) and (cause := within(error, OSError)):
        return f"A file could not be read or written: {cause}."
    return None


def run(**options: Any) -> None:
    """Run pipelines; without options, the whole chain of the scenario digits."""
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    bootstrap_project(project)
    # Kedro itself finds this file only if the command is run in the project's root.
    if "KEDRO_LOGGING_CONFIG" not in os.environ:
        configure_logging(yaml.safe_load((project / "conf" / "logging.yml").read_text()))
    try:
        single, several = options.get("pipeline"), options.get("pipelines")
        names = [single] if single else list(several or [])
        check_names(project, options.get("env"), names)
        if kedro_run.callback:
            kedro_run.callback(**options)
    except KeyboardInterrupt:
        raise click.ClickException("Stopped; finished stages are kept.") from None
    except Exception as error:
        text = sentence(error)
        if isinstance(stop := within(error, Interrupted), Interrupted):
            click.echo(text, err=True)
            raise SystemExit(128 + stop.signal_number) from None
        if text is None:
            raise
        raise click.ClickException("\n".join((text, *getattr(error, "__notes__", ())))) from None


class Run(click.Command):
    """The command `kedro run`; Kedro parses --params as YAML while click is still parsing the command line."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does, with one sentence for invalid YAML instead of a traceback."""
        try:
            return super().parse_args(ctx, args)
        except (YAMLError, OmegaConfBaseException) as error:
            raise click.ClickException(f"--params: not YAML ({place_in(error)}); quote the value.") from error


cli.add_command(scenario)
cli.add_command(Run("run", callback=run, params=kedro_run.params, help=kedro_run.help))
