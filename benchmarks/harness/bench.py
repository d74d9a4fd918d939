"""Performs a study: makes what its runs need once, then takes the runs from the queue, one after the other."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cost import Cost, measure
from harness.locks import held
from harness.queue import LocalQueue, Queue
from harness.run import ATTACHED, CURVE, DIVERGED, PICTURE, RESULT, UNFINISHED, WALL, Job
from harness.scenario import PROJECT, runtime
from harness.settings import Run, Study
from harness.table import Table
from harness.teachers import train_once
from nayer.core.errors import Diverged, InputError, Interrupted, Stopped
from nayer.core.files import digest, write_atomically
from nayer.distillation.budget import Budget, counted_seconds, scaled, schedule_for
from nayer.distillation.config import DistillConfig
from nayer.distillation.cost import shortened
from nayer.distillation.plan import code_of, plan
from nayer.engine.device import resolve_device, resolve_precision
from nayer.engine.fingerprint import code_digest
from nayer.engine.progress import Reporter, Terminal
from nayer.evaluation import baselines
from nayer.evaluation.cost import machine
from nayer.lte.embeddings import LabelEmbeddings
from nayer.lte.encoders import embed_labels
from nayer.models.classifier import Classifier
from nayer.synthesis.registry import METHODS

if TYPE_CHECKING:
    from harness.tracking import Tracker

TEACHERS = PROJECT / "docs" / "results" / "teachers"
TURNS = 3
# Files that a run leaves in its folder, besides its state and its student.
LEFT = (CURVE, WALL, RESULT, PICTURE)
# Fields of Cost that are measured for each kind of step.
KINDS: dict[str, tuple[str, ...]] = {"student": ("student_step", "student_gflop"), "start": ("start",)}
KINDS["synthesis"] = tuple(key for key in Cost.model_fields if key not in sum(KINDS.values(), ()))
Costs = dict[str, dict[str, Any]]


# Folders whose files determine what a run does, unlike results and data of other runs.
MADE_BY = ("src", "benchmarks", "conf")
# What the cost of a step depends on.
MACHINE = ("processor", "cores", "threads", "accelerator")


class Bench:
    """One study on one machine."""

    def __init__(self, study: Study, store: str | None, device: str, folder: Path) -> None:
        self.study, self.device = study, device
        self.folder, self.results = folder / study.name, PROJECT / study.results
        self.folder.mkdir(parents=True, exist_ok=True)
        self.reporter = Terminal(interval=60)
        self.table = Table(self.results)
        self.store = store
        self.queue: Queue = shared_queue(study.name, store) if store else LocalQueue(self.folder / "runs", self.done)
        self.tracker = tracker(study.name, self.reporter)
        self.child: subprocess.Popen[bytes] | None = None

    def done(self) -> set[str]:
        """The keys of runs that are in the table."""
        return self.table.done

    def teacher(self, run: Run) -> Path:
        """File of the run's teacher, trained if missing; kept with the results, which hold for this teacher alone."""
        name, spec = self.study.teacher(run)
        train_once(name, spec, TEACHERS, self.folder / "resume" / name, self.reporter)
        file = TEACHERS / f"{name}.safetensors"
        if (own := digest(file)) != self.queue.agreed(f"teacher {name}", own):
            raise InputError(
                f"--store: '{file}' is another teacher than that of the machine which came first; copy it from there, "
                "with the .json beside it."
            )
        return file

    def asked(self, run: Run) -> str:
        """Digest of all that the study says about a run; tells rows made before a change of the study from new ones."""
        study = self.study
        names = sorted({run.setting, study.like(run.setting) or run.setting})
        parts = [study.teacher(run)[1], study.pairs[run.pair], *(study.settings[name] for name in names)]
        said = [part.model_dump(mode="json", exclude_defaults=True) for part in parts]
        said.append(run.model_dump(include={"minutes", "seed", "test"}))
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def embeddings(self, run: Run) -> Path | None:
        """The file of the run's label embeddings; None for a method that needs none."""
        if self.study.settings[run.setting].baseline:
            return None
        if not METHODS[self.study.distillation(run.pair, run.setting)["synthesis"]["method"]].needs_embeddings:
            return None
        lte = self.study.lte(run.pair, run.setting)
        # Another encoder or prompt gets another file, and so makes another job.
        said = hashlib.sha256(lte.model_dump_json().encode()).hexdigest()[:12]
        file = self.folder / "embeddings" / f"{run.pair}-{said}-s{run.seed}.safetensors"
        if not file.exists():
            embed_labels(lte, Classifier.load(self.teacher(run)).class_names, run.seed).save(file)
        return file

    def measured(self, runs: Iterable[Run]) -> Costs:
        """Costs of steps by name, for all settings of the runs' pairs: measured once, in turns, and kept.

        Machines that share a store use what the first of them measured, so that a minute buys the same on all. Of the
        processes of one machine, one measures while the others wait.
        """
        with held(
            self.folder / "costs.lock", "Another process measures what steps cost; waiting for it.", self.reporter
        ):
            return self._measured(runs)

    def _measured(self, runs: Iterable[Run]) -> Costs:
        file = self.results / "costs.json"
        kept: Costs = json.loads(file.read_text()) if file.exists() else {}
        kept |= self.queue.shared("costs")
        pairs = {run.pair for run in runs if run.minutes}
        timed = [run for run in self.study.timed_runs() if run.pair in pairs]
        missing: dict[str, Run] = {}
        names = {run: self.study.cost_names(run.pair, run.setting) for run in timed}
        for run in timed:
            if new := [name for name in names[run].values() if name not in kept.keys() | missing.keys()]:
                self.check_machine(run.pair, new[0], kept)
                missing |= dict.fromkeys(new, run)
        found: dict[Run, list[Cost]] = {run: [] for run in missing.values()}
        for turn in range(TURNS if missing else 0):
            for run, costs in found.items():
                self.reporter.say(f"Measuring, turn {turn + 1} of {TURNS}: {run.pair} {run.setting}")
                costs.append(self.cost(run))
        for name, run in missing.items():
            kind = next(kind for kind, each in names[run].items() if each == name)
            least = {key: min(getattr(cost, key) for cost in found[run]) for key in KINDS[kind]}
            kept[name] = {**least, "precision": self.precision(), "machine": machine()}
        if missing:
            write_atomically(file, lambda part: part.write_text(json.dumps(kept, indent=1) + "\n"))
            self.queue.share("costs", kept)
        return kept

    def check_machine(self, pair: str, new: str, kept: Costs) -> None:
        """Require that steps to be compared are measured on one kind of machine, with equal threads and precision.

        Raises:
            InputError: the pair's other steps were measured under conditions that differ from those here.
        """
        here = {key: machine()[key] for key in MACHINE} | {"precision": self.precision()}
        for name in (each for each in kept if pair in each.split()):
            there = {**here, **kept[name], **kept[name]["machine"]}  # older entries lack their precision
            if other := [key for key in here if there[key] != here[key]]:
                told = " and ".join(f"{key} {there[key]}, here {here[key]}" for key in other)
                raise InputError(
                    f"{self.study.results}/costs.json: '{new}' is not in it, and the others of {pair} were measured "
                    f"with {told}; measure it there (OMP_NUM_THREADS sets threads), or take all of {pair} out."
                )

    def precision(self) -> str:
        """Precision in which steps are computed here."""
        settings = runtime(device=self.device)
        return resolve_precision(settings, resolve_device(settings))

    def cost_of(self, costs: Costs, pair: str, setting: str) -> Cost:
        """Measured cost of every kind of step of a pair and setting."""
        names = self.study.cost_names(pair, setting)
        return Cost(**{key: costs[name][key] for kind, name in names.items() for key in KINDS[kind]})

    def cost(self, run: Run) -> Cost:
        """Measure the steps of one pair and setting, on a short schedule."""
        table = self.embeddings(run)
        return measure(
            plan(
                Classifier.load(self.teacher(run)),
                LabelEmbeddings.load(table) if table else None,
                shortened(self.study.distillation(run.pair, run.setting)),
                runtime(device=self.device, compile=False),
                seed=0,
            )
        )

    def distillation(self, run: Run, costs: Costs) -> dict[str, Any]:
        """The run's parameters: the scenario's own schedule, or one that fills the minutes."""
        study, setting = self.study, self.study.settings[run.setting]
        # A baseline takes as many student steps as a method; the method's synthesis plays no part.
        name = study.like(run.setting) or run.setting
        values = study.distillation(run.pair, name)
        if run.minutes is None:
            return values
        pair, cost = study.pairs[run.pair], self.cost_of(costs, run.pair, name)
        share = setting.student_share or pair.student_share
        step = self.cost_of(costs, run.pair, study.reference or name).student_step
        warmup = setting.warmup_share or pair.warmup_share
        minutes = run.minutes - cost.start / 60
        budget = Budget(minutes, share, step, warmup, pair.epochs, setting.closing_share)
        if setting.baseline:
            return {**values, "epochs": 1, "student": {**values["student"], "steps": budget.student_steps}}
        return scaled(values, schedule_for(DistillConfig.model_validate(values), cost, budget))

    def perform(self, run: Run, costs: Costs) -> dict[str, Any]:
        """Perform one run in a process of its own; returns its results, with what only the study knows added."""
        folder = self.folder / "runs" / run.key
        teacher, table = self.teacher(run), self.embeddings(run)
        job = Job(
            folder=str(folder),
            teacher=str(teacher),
            embeddings=str(table) if table else None,
            scenario=self.study.scenario(run.pair),
            distill=self.distillation(run, costs),
            baseline=self.study.settings[run.setting].baseline,
            seed=run.seed,
            test=run.test,
            device=self.device,
            made_by={"code": self.code(run), "teacher": digest(teacher)},
        )
        file, asked = folder / "job.json", job.model_dump_json(indent=1)
        if not file.exists() or file.read_text() != asked:
            for left in LEFT:  # made by another job; its state may stay, as no other job accepts it
                (folder / left).unlink(missing_ok=True)
            write_atomically(file, lambda part: part.write_text(asked))
        if not (folder / RESULT).exists():
            self.run(file)
        result: dict[str, Any] = json.loads((folder / RESULT).read_text())
        if (picture := folder / PICTURE).exists():
            (self.results / "images").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture, self.results / "images" / f"{run.key}.png")
        result |= {"commit": commit(), "teacher_sha256": digest(teacher), "asked_sha256": self.asked(run)}
        if run.minutes and not job.baseline:
            cost = self.cost_of(costs, run.pair, run.setting)
            steps = result["synthesis_steps"], result["student_steps"]
            result["gflop"] = steps[0] * cost.synthesis_gflop + steps[1] * cost.student_gflop
            for row in result["curve"]:
                row["counted_seconds"] = cost.start + counted_seconds(result["parameters"], cost, row["epoch"])
        return result

    def code(self, run: Run) -> str:
        """A digest of the code that makes the run's student."""
        setting = self.study.settings[run.setting]
        if setting.baseline:
            return code_digest(baselines.__name__)
        values = self.study.distillation(run.pair, run.setting)
        return code_of(METHODS[values["synthesis"]["method"]])

    def run(self, file: Path) -> None:
        """Run a job in a process of its own.

        Raises:
            Interrupted: it was stopped, and keeps its state.
            Diverged: its training diverged, as it would again with the same values.
            Stopped: it failed for another reason.
        """
        here, said = str(PROJECT / "benchmarks"), os.environ.get("PYTHONPATH", "").split(os.pathsep)
        # In a process group of its own: Ctrl-C reaches this process alone, which passes it on once.
        self.child = subprocess.Popen(
            [sys.executable, "-m", "harness.run", str(file), ATTACHED],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in (here, *said) if path)},
            stdin=subprocess.PIPE,  # closes when this process ends, for whatever reason
            start_new_session=True,
        )
        code = self.child.wait()
        if code == UNFINISHED:
            raise Interrupted("stopped", 15)
        if code == DIVERGED:
            raise Diverged(f"{file.parent.name} went astray; {file} says what it was asked for.")
        if code:
            raise Stopped(f"{file.parent.name} ended with {code}; {file} says what it was asked for.")

    def stop(self) -> None:
        """End the run that is under way; it keeps its state."""
        if self.child and self.child.poll() is None:
            self.child.terminate()

    def work(self, runs: list[Run]) -> None:
        """Do all of these runs that are not done yet, apart from those that other processes take.

        Raises:
            Diverged: some runs diverged; the others are done.
        """
        by_key = {run.key: run for run in runs}
        asked = self.table.asked()
        if other := [run.key for run in runs if asked.get(run.key) not in (None, self.asked(run))]:
            raise InputError(
                f"{self.study.results}/runs.csv: '{other[0]}' was made of other settings than it has in the study; "
                "take its rows out to run it again, or give the setting another name."
            )
        todo = [run for run in runs if run.key not in self.table.done]
        costs = self.measured(todo)
        self.queue.add({run.key: self.asked(run) for run in todo})
        self.collect(by_key)
        astray = self.take_all(by_key, costs)
        if elsewhere := self.queue.running(by_key.keys()):
            self.reporter.say(
                f"{self.queue.elsewhere}: {', '.join(elsewhere)}. The same command, later, takes what is left."
            )
        if astray:
            raise Diverged("\n".join(map(str, astray.values())))

    def take_all(self, runs: dict[str, Run], costs: Costs) -> dict[str, Diverged]:
        """Do the waiting runs one after the other; returns those that diverged, which stay waiting until mended."""
        astray: dict[str, Diverged] = {}

        def perform(key: str) -> dict[str, Any]:
            try:
                result = self.perform(runs[key], costs)
            except Diverged as error:
                astray[key] = error
                raise
            self.record(runs[key], result)
            return result

        while self.queue.take(runs.keys() - astray.keys(), perform):
            self.collect(runs)
        return astray

    def collect(self, runs: dict[str, Run]) -> None:
        """Record results of other machines here, too, unless they were asked for before the study was changed."""
        for key, result in self.queue.results.items():
            if key in runs and result["asked_sha256"] == self.asked(runs[key]):
                self.record(runs[key], result)

    def record(self, run: Run, result: dict[str, Any]) -> None:
        """Record a finished run in MLflow and then in the table, which marks it as done."""
        if self.tracker:
            self.tracker.write(run, result)
        self.table.add(run, result)


def shared_queue(study: str, store: str) -> Queue:
    """Queue shared by all machines that use a store.

    Raises:
        InputError: the store cannot be used, or Optuna is missing.
    """
    try:
        from harness.shared_queue import SharedQueue
    except ModuleNotFoundError as error:
        raise InputError(f"--store: '{error.name}' is not installed; pip install '.[study]' brings it.") from error
    return SharedQueue(study, store)


def tracker(study: str, reporter: Reporter) -> "Tracker | None":
    """Writer of runs to MLflow; None, with a message, where MLflow is not installed."""
    try:
        from harness.tracking import Tracker
    except ModuleNotFoundError as error:
        reporter.say(f"'{error.name}' is not installed: runs go into the table, and not to MLflow.")
        return None
    return Tracker(study)


def commit() -> str:
    """Hash of the current commit, with a + if files that make a run differ from it; empty where Git cannot tell."""
    asked = ["git", "rev-parse", "HEAD"], ["git", "status", "--porcelain", "--", *MADE_BY]
    try:
        head, changed = (
            subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.strip()
            for command in asked
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + "+" * bool(changed)
