"""A study: runs of methods and settings under equal terms, from a queue into one table.

    python benchmarks/study.py benchmarks/studies/claim.yml --only 'tier1-*'

Teachers are trained once, steps are measured once, and every run goes on where it was stopped: the same command goes on
with the study. Several machines share it by one `--store`. All runs lie in MLflow under one parent.
"""

import argparse
import signal
import threading
from fnmatch import fnmatch
from pathlib import Path

import click
import yaml
from harness.bench import Bench
from harness.run import UNFINISHED
from harness.scenario import PROJECT
from harness.settings import Study
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from nayer.core.errors import InputError, Interrupted, first_line, first_mistake

STATES = PROJECT / "data" / "studies"


def main() -> None:
    parser = argparse.ArgumentParser(description="A study of methods and settings.")
    parser.add_argument("study", type=Path)
    parser.add_argument("--only", default="*", metavar="PATTERN", help="of the runs' names, as 'tier1-*-s0'")
    parser.add_argument("--store", help="an address that Optuna knows; left out, a file of this machine")
    parser.add_argument("--folder", type=Path, default=STATES, help="where unfinished runs keep their state")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, help="stop after so many, in the middle of a run if need be")
    parser.add_argument("--list", action="store_true", help="say what is done and what is to do, and end")
    options = parser.parse_args()
    try:
        study = Study.read(options.study)
        for pair, setting in sorted({(run.pair, run.setting) for run in study.runs()}):
            study.distillation(pair, setting)
    except ValidationError as error:
        raise SystemExit(f"{options.study}: {first_mistake(error)}") from error
    except (OSError, yaml.YAMLError, OmegaConfBaseException, InputError) as error:
        raise SystemExit(f"{options.study} cannot be read: {first_line(error)}; see benchmarks/studies.") from error
    runs = [run for run in study.runs() if fnmatch(run.key, options.only)]
    if not runs:
        raise SystemExit(f"--only: no run is called '{options.only}'; the first of all is '{study.runs()[0].key}'.")
    try:
        bench = Bench(study, options.store, options.device, options.folder.resolve())
    except InputError as error:
        raise SystemExit(str(error)) from error
    if options.list:
        done = bench.table.done
        click.echo("\n".join(f"{'done' if run.key in done else 'to do'}  {run.key}" for run in runs))
        return

    def stop(*_: object) -> None:
        bench.stop()
        raise Interrupted("stopped", signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    if options.minutes:
        alarm = threading.Timer(60 * options.minutes, signal.raise_signal, (signal.SIGTERM,))
        alarm.daemon = True
        alarm.start()
    try:
        bench.work(runs)
    except Interrupted:
        click.echo(f"{bench.table.summary()}\n\nUnfinished; the same command goes on.")
        raise SystemExit(UNFINISHED) from None
    except InputError as error:
        raise SystemExit(str(error)) from error
    table = bench.table.file.relative_to(PROJECT)
    click.echo(f"{bench.table.summary()}\n\nNext: {table} holds every epoch; make ui shows the runs.")


if __name__ == "__main__":
    main()
