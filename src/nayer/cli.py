"""`kedro run` with errors for people: one sentence instead of a traceback for what a user can mend."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.project import configure_logging, pipelines
from kedro.framework.startup import bootstrap_project
from kedro.io import DatasetError
from kedro.utils import find_kedro_project
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from nayer.errors import InputError, Interrupted, Refused, Stopped, first_line, shown, unknown, within
from nayer.files import write_atomically
from nayer.scenarios import NOT_SCENARIOS, pipeline_file
from nayer.settings import CONFIG_LOADER_ARGS


@click.group()
def cli() -> None:
    """Commands of this project."""


def scenarios(project: Path) -> list[str]:
    """The environments of `conf/` that can be run."""
    return sorted(p.name for p in (project / "conf").iterdir() if p.is_dir() and p.name not in NOT_SCENARIOS)


def check_names(project: Path, env: str | None, names: list[str]) -> None:
    """Refuse unknown scenarios and pipelines, with the nearest known one."""
    if env and env not in scenarios(project):
        raise unknown("--env", env, scenarios(project))
    for name in names:
        if name not in pipelines:
            raise unknown("--pipelines", name, [known for known in pipelines if known != "__default__"])


def check_files(conf: Path, env: str, overrides: Mapping[str, Any]) -> None:
    """Refuse configuration that Kedro cannot read or merge, by name and place; it says so in many ways, not in ours."""
    below: dict[str, Any] = {}
    for part in ("base", env):
        places: dict[str, Path] = {}
        for file in sorted((conf / part).rglob("*.yml")):
            kind, found = Path(file.relative_to(conf / part).parts[0]).stem.partition("_")[0], read(file)
            for key in (key for key in found if not str(key).startswith("_")):
                if (other := places.setdefault(f"{kind}: {key}", file)) != file:
                    raise InputError(f"{file}: sets '{key}', as '{other.name}' does; set it in one of them.")
            if kind == "parameters":
                check_groups(below, found)
                below = {**found, **below}
    check_groups(below, overrides)


def read(file: Path) -> dict[Any, Any]:
    """What a file of configuration holds, as it stands there."""
    try:
        found = OmegaConf.to_container(OmegaConf.load(file))
    except (YAMLError, OSError, UnicodeDecodeError, OmegaConfBaseException) as error:
        raise InputError(f"{file}: is no YAML ({place_in(error)}); correct it.") from error
    if not isinstance(found, dict):
        raise InputError(f"{file}: holds no mapping of keys to values; correct it, or delete it.")
    return found


def check_groups(below: Mapping[Any, Any], above: Mapping[Any, Any], key: str = "") -> None:
    """Refuse a list in the place of a group, or a group in that of a list, which OmegaConf cannot merge."""
    for name, value in above.items():
        held = below.get(name)
        if {type(held), type(value)} == {dict, list}:
            raise InputError(f"{key}{name}: {shown(value)} is refused, in its place stands a {type(held).__name__}.")
        if isinstance(held, Mapping) and isinstance(value, Mapping):
            check_groups(held, value, f"{key}{name}.")


def place_in(error: Exception) -> str:
    """Where in a file the error is, as far as it knows."""
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}: {getattr(error, 'problem', '')}" if mark else first_line(error)


def sentence(error: BaseException) -> str | None:
    """What to tell the user about an error, if it is theirs to mend; None for a fault of ours."""
    if found := within(error, InputError, Interrupted, Refused, Stopped, OmegaConfBaseException):
        return str(found)
    if isinstance(error, DatasetError) and (cause := within(error, OSError)):
        return f"A file could not be read or written: {cause}."
    return None


def run(**options: Any) -> None:
    """Run pipelines; without options the whole chain on digits."""
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    bootstrap_project(project)
    # Kedro itself finds this file only when the command is typed in the project's root.
    if "KEDRO_LOGGING_CONFIG" not in os.environ:
        configure_logging(yaml.safe_load((project / "conf" / "logging.yml").read_text()))
    try:
        single, several = options.get("pipeline"), options.get("pipelines")
        names = [single] if single else list(several or [])
        check_names(project, options.get("env"), names)
        env = options.get("env") or os.environ.get("KEDRO_ENV") or CONFIG_LOADER_ARGS["default_run_env"]
        check_files(Path(options.get("conf_source") or project / "conf"), env, options.get("params") or {})
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


@cli.command()
@click.argument("name")
@click.option("--teacher", help="A teacher that exists: a file, models:/NAME/VERSION, torchvision:NAME, timm:NAME.")
@click.option(
    "--architecture",
    help="Its architecture: a name, or package.module:factory. This and the next three: if it does not tell.",
)
@click.option("--class-names", help="Text file with its class names, one a line, in the order of its classes.")
@click.option("--image-size", type=int, help="Side of its images in pixels.")
@click.option("--normalisation", help="What it was trained with: cifar10, imagenet, ..., or mean/std as 0.286/0.353.")
@click.option("--test-data", default="none", show_default=True, help="A data set, or a folder of pictures by class.")
@click.option("--student", help="Its architecture; left out, that of the scenario that is taken over.")
@click.option("--like", default="fashion_mnist", show_default=True, help="Scenario whose distillation is taken over.")
def scenario(name: str, **said: Any) -> None:
    """Write the DVC pipeline file of a scenario; with --teacher, make the scenario first."""
    # Torch and Kedro's sessions are slow to import, and `kedro run` needs neither here.
    from nayer.mlops import tracking
    from nayer.scenarios.create import Brought, create
    from nayer.scenarios.stages import render

    project = find_kedro_project(Path.cwd()) or Path.cwd()
    bootstrap_project(project)
    try:
        if said["teacher"]:
            settings = yaml.safe_load((project / "conf" / "base" / "mlflow.yml").read_text())
            tracking.point_to_store(project, settings["tracking_uri"])
            teacher = create(project, name, Brought(**said))
            shape = f"{teacher.images.channels}x{teacher.images.size}x{teacher.images.size}"
            click.echo(f"conf/{name} written: {teacher.architecture}, {len(teacher.class_names)} classes, {shape}.")
        check_names(project, name, [])
        file = pipeline_file(project, name)
        text = render(project, name)
        write_atomically(file, lambda part: part.write_text(text))
    except InputError as error:
        raise click.ClickException(str(error)) from None
    shown = file.relative_to(project)
    click.echo(f"{shown} written. Next: kedro run --env {name}, or only what must run: dvc repro {shown}")


class Run(click.Command):
    """Kedro reads --params as YAML, while click still reads the line."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, without a traceback for what is no YAML."""
        try:
            return super().parse_args(ctx, args)
        except (YAMLError, OmegaConfBaseException) as error:
            raise click.ClickException(f"--params: is no YAML ({place_in(error)}); quote the value.") from error


cli.add_command(Run("run", callback=run, params=kedro_run.params, help=kedro_run.help))
