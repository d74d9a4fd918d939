"""Performs a study: runs of methods and settings under equal terms, taken from a queue and collected in one table.

    python benchmarks/study.py benchmarks/studies/claim.yml --only 'tier1-*'

Teachers are trained once, steps are measured once, and every run continues where it was stopped: the same command
continues the study. Several machines share it by one `--store`. All runs are in MLflow under one parent. With
`--search NAME`, levers are chosen together instead of one by one.
"""

import argparse
import signal
import threading
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import click
import yaml
from harness.bench import Bench
from harness.run import UNFINISHED
from harness.scenario import PROJECT
from harness.settings import Study
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from nayer.core.errors import InputError, Interrupted, Stopped, first_line, first_mistake, unknown

if TYPE_CHECKING:
    from harness.search import Search

STATES = PROJECT / "data" / "studies"


def main() -> None:
    parser = argparse.ArgumentParser(description="A study of methods and settings.")
    parser.add_argument("study", type=Path)
    parser.add_argument("--only", default="*", metavar="PATTERN", help="of the runs' names, as 'tier1-*-s0'")
    parser.add_argument("--search", metavar="NAME", help="one of the study's searches, in place of its runs")
    parser.add_argument("--store", help="an address that Optuna knows, for several machines")
    parser.add_argument("--folder", type=Path, default=STATES, help="where unfinished runs keep their state")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, help="stop after so many, in the middle of a run if need be")
    parser.add_argument("--list", action="store_true", help="say what is done and what is to do, and end")
    options = parser.parse_args()
    study = read(options.study)
    runs = [run for run in study.runs() if fnmatch(run.key, options.only)]
    if not runs:
        raise SystemExit(f"--only: no run is called '{options.only}'; the first of all is '{study.runs()[0].key}'.")
    try:
        if options.search and options.search not in study.searches:
            raise unknown("--search", options.search, tuple(study.searches))
        bench = Bench(study, options.store, options.device, options.folder.resolve())
        search = searching(bench, options.search) if options.search else None
    except InputError as error:
        raise SystemExit(str(error)) from error
    if options.list:
        done = bench.table.done
        listed = [f"{'done' if run.key in done else 'to do'}  {run.key}" for run in runs]
        click.echo(f"{search.left()} trials to do" if search else "\n".join(listed))
        return
    stop_safely(bench, options.minutes)
    try:
        search.work() if search else bench.work(runs)
        unfinished = not search and not {run.key for run in runs} <= bench.done()
    except Interrupted:
        unfinished = True
    except (InputError, Stopped) as error:
        raise SystemExit(str(error)) from error
    if unfinished:
        click.echo(f"{(search or bench.table).summary()}\n\nUnfinished; the same command goes on.")
        raise SystemExit(UNFINISHED)
    table = (search or bench.table).file.relative_to(PROJECT)
    then = f"{table} holds every trial; give the best a name among the settings, and it the seeds of a group."
    shown = "; make ui shows the runs" if bench.tracker else ""
    said = then if search else f"{table} holds every epoch{shown}."
    click.echo(f"{(search or bench.table).summary()}\n\nNext: {said}")


def read(file: Path) -> Study:
    """Read the study of a file, and check the parameters of all its runs."""
    try:
        study = Study.read(file)
        for pair, setting in sorted({(run.pair, run.setting) for run in study.runs()}):
            study.distillation(pair, setting)
    except ValidationError as error:
        raise SystemExit(f"{file}: {first_mistake(error)}") from error
    except (OSError, yaml.YAMLError, OmegaConfBaseException, InputError) as error:
        raise SystemExit(f"{file} cannot be read: {first_line(error)}; see benchmarks/studies.") from error
    return study


def searching(bench: Bench, name: str) -> "Search":
    """The search of this name.

    Raises:
        InputError: it cannot be continued, or Optuna is missing.
    """
    try:
        from harness.search import Search
    except ModuleNotFoundError as error:
        raise InputError(f"--search: '{error.name}' is not installed; pip install '.[study]' brings it.") from error
    return Search(bench, name)


def stop_safely(bench: Bench, minutes: float | None) -> None:
    """Make the run under way keep its state and end on Ctrl-C, on a SIGTERM or after the given minutes."""

    def stop(*_: object) -> None:
        bench.stop()
        raise Interrupted("stopped", signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    if minutes:
        alarm = threading.Timer(60 * minutes, signal.raise_signal, (signal.SIGTERM,))
        alarm.daemon = True
        alarm.start()


if __name__ == "__main__":
    main()
