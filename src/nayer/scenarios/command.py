"""`kedro scenario`: a new scenario for a teacher that exists, and the DVC pipeline file of any."""

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


@click.command()
@click.argument("name")
@click.option(
    "--teacher",
    help="A file, models:/NAME/VERSION, torchvision:NAME, timm:NAME, or timm: or transformers: and a folder or hub id.",
)
@click.option(
    "--architecture",
    help="Its architecture: a name, or package.module:factory. This and the next three: if it does not tell.",
)
@click.option("--class-names", help="Text file with its class names, one a line, in the order of its classes.")
@click.option("--image-size", type=int, help="Side of its images in pixels.")
@click.option("--normalisation", help="What it was trained with: cifar10, imagenet, ..., or mean/std as 0.286/0.353.")
@click.option("--crop", type=float, help="Share of a picture's side that it is shown: 0.875 is 224 of 256.")
@click.option("--test-data", default="none", show_default=True, help="A data set, or a folder of pictures by class.")
@click.option("--student", help="Its architecture, or half: its teacher's, half as wide; left out, the scenario's.")
@click.option("--method", help="The method that makes the images, as published: nayer, fast_dfkd, cmi, ...")
@click.option("--like", help="Scenario whose distillation is taken over; left out, fashion_mnist.")
@click.option("--minutes", type=float, help="What a run may take here, 3 or more; its schedule is made to fill them.")
def scenario(name: str, teacher: str | None, **said: Any) -> None:
    """Write the DVC pipeline file of a scenario; with --teacher, make the scenario first."""
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    try:
        if teacher:
            make(project, name, TeacherOptions(teacher=teacher, **said))
        elif given := [key.upper() for key, value in said.items() if value not in (None, "none")]:
            raise InputError(
                f"{', '.join(given)}: of a new scenario, which needs a TEACHER; say that too, or NAME alone."
            )
        elif name not in scenarios(project):
            raise unknown("NAME", name, scenarios(project))
        written = write_pipeline_file(project, name)
    except InputError as error:
        raise click.ClickException(str(error)) from None
    shown = written.relative_to(project)
    click.echo(f"{shown} written. Next: kedro run --env {name}, or only what must run: dvc repro {shown}")


def make(project: Path, name: str, options: TeacherOptions) -> None:
    """Write `conf/<name>`; what needs no torch is checked before that is loaded, which takes seconds."""
    check_options(project, name, options)
    from nayer.engine.allocator import keep_freed_memory
    from nayer.engine.progress import Terminal
    from nayer.mlops.tracking.store import point_to_store
    from nayer.scenarios.create import create

    bootstrap_project(project)
    settings = yaml.safe_load((project / "conf" / "base" / "mlflow.yml").read_text())
    point_to_store(project, settings["tracking_uri"])
    keep_freed_memory()  # as a run does, whose steps are timed here
    made = create(project, name, options, Terminal(interval=10))
    shape = f"{made.images.channels}x{made.images.size}x{made.images.size}"
    click.echo(f"conf/{name} written: {made.architecture}, {len(made.class_names)} classes, {shape}.")


def write_pipeline_file(project: Path, name: str) -> Path:
    """Write the DVC pipeline file; returns where."""
    from nayer.scenarios.dvc_file import render

    bootstrap_project(project)
    file, text = pipeline_file(project, name), render(project, name)
    write_atomically(file, lambda part: part.write_text(text))
    return file
