"""`kedro scenario`: create a scenario for an existing teacher, and write the DVC pipeline file of any scenario."""

import os
from pathlib import Path
from typing import Any

import click
import yaml
from kedro.framework.startup import bootstrap_project
from kedro.utils import find_kedro_project

from nayer.core.errors import InputError, unknown
from nayer.core.files import write_atomically
from nayer.core.project import pipeline_file, scenarios
from nayer.scenarios.options import TeacherOptions, check_options

# Options that may name a file or folder, beside the teacher.
PATHS = ("class_names", "test_data")


@click.command()
@click.argument("name")
@click.option(
    "--teacher",
    help="File of weights, models:/NAME/VERSION, torchvision:NAME, timm:NAME, timm:FOLDER, or transformers:FOLDER.",
)
@click.option(
    "--architecture",
    help="Teacher's: a name, or package.module:factory. Leave out this and the next three if the teacher states them.",
)
@click.option("--class-names", help="Text file with one class name per line, in the order of the teacher's outputs.")
@click.option("--image-size", type=int, help="Side of the teacher's images in pixels.")
@click.option("--normalisation", help="The teacher's: cifar10, imagenet, ..., or mean/std such as 0.286/0.353.")
@click.option(
    "--crop", type=float, help="Share of a picture's shorter side that the teacher is shown: 0.875 is 224 of 256."
)
@click.option(
    "--test-data",
    default="none",
    show_default=True,
    help="Data set, or folder with one sub-folder of pictures per class.",
)
@click.option(
    "--student",
    help="Student's architecture, or half for the teacher's at half the width.  [default: half, or that of --like]",
)
@click.option("--method", help="Method that makes the images, with its published settings: nayer, fast_dfkd, cmi, ...")
@click.option(
    "--like", help="Scenario whose distillation is taken over.  [default: fashion_mnist, or the recipe for minutes]"
)
@click.option(
    "--minutes",
    type=float,
    help="Minutes that a run may take on this machine, 3 or more: the schedule is made to fill them.",
)
def scenario(name: str, teacher: str | None, **said: Any) -> None:
    """Make a scenario for --teacher, and write its DVC pipeline file; without --teacher, write only the file."""
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    if Path.cwd() != project:  # paths are typed as seen from here, but read and kept as runs see them
        from nayer.datasets.sources import SOURCES

        teacher = teacher and seen_from(project, teacher)
        for key in PATHS:
            if said[key] and said[key] not in SOURCES:  # a data set is meant, also where a folder has its name
                said[key] = seen_from(project, said[key])
        os.chdir(project)
    try:
        if teacher:
            make(project, name, TeacherOptions(teacher=teacher, **said))
        elif given := [key.upper() for key, value in said.items() if value not in (None, "none")]:
            raise InputError(f"{', '.join(given)}: only for a new scenario; give its TEACHER as well, or NAME alone.")
        elif name not in scenarios(project):
            raise unknown("NAME", name, scenarios(project))
        written = write_pipeline_file(project, name)
    except InputError as error:
        raise click.ClickException(str(error)) from None
    shown = written.relative_to(project)
    click.echo(f"{shown} written. Next: kedro run --env {name}, or only what must run: dvc repro {shown}")


def seen_from(project: Path, place: str) -> str:
    """A file or folder in the working directory, also behind `timm:` or `transformers:`, as seen from the project."""
    library, mark, path = place.rpartition(":")
    if not path or not Path(path).exists():
        return place
    found = Path(path).absolute()
    return f"{library}{mark}{found.relative_to(project) if found.is_relative_to(project) else found}"


def make(project: Path, name: str, options: TeacherOptions) -> None:
    """Write `conf/<name>`; checks that need no torch come before its import, which takes seconds."""
    check_options(project, name, options)
    from nayer.engine.allocator import keep_freed_memory
    from nayer.engine.progress import Terminal
    from nayer.mlops.tracking.store import point_to_store
    from nayer.scenarios.create import create

    bootstrap_project(project)
    settings = yaml.safe_load((project / "conf" / "base" / "mlflow.yml").read_text())
    point_to_store(project, settings["tracking_uri"])
    keep_freed_memory()  # as in a run, so that its steps are timed as they will be
    made = create(project, name, options, Terminal(interval=10))
    shape = f"{made.images.channels}x{made.images.size}x{made.images.size}"
    click.echo(f"conf/{name} written: {made.architecture}, {len(made.class_names)} classes, {shape}.")


def write_pipeline_file(project: Path, name: str) -> Path:
    """Write the DVC pipeline file of a scenario, and the seed that it tracks; returns the file's path."""
    from nayer.scenarios.dvc_file import render, state_seed

    bootstrap_project(project)
    state_seed(project, name)
    file, text = pipeline_file(project, name), render(project, name)
    write_atomically(file, lambda part: part.write_text(text))
    return file
