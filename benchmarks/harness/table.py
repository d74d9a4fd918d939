"""The table of a study: one CSV, a row for every epoch of every run; a run's final figures stand in its last row."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from harness.settings import Run
from nayer.core.files import write_atomically

KEY, END = "run", "accuracy"
SCHEDULE = ("warmup_epochs", "epochs")
SYNTHESIS = ("batch_size", "steps", "batches", "warmup_batches")
FINAL = (
    END,
    "judged_on",
    "teacher_accuracy",
    "agreement",
    "validation_accuracy",
    "images",
    "batches",
    "synthesis_steps",
    "student_steps",
    "gflop",
    "wall_seconds",
    "peak_memory_gib",
    "precision",
    "compiled",
    "teacher_sha256",
    "asked_sha256",
    "commit",
    "finished",
)
CURVE = ("epoch", "validation_accuracy_2000", "counted_seconds", "synthesis_seconds", "student_seconds")
MACHINE = ("processor", "cores", "threads", "accelerator", "python", "torch", "torchvision")


def rows(run: Run, result: dict[str, Any]) -> list[dict[str, Any]]:
    """One run as rows; a baseline, which has no curve, is a single row."""
    named = {KEY: run.key, **run.model_dump(exclude={"test"})}
    found = [{**named, **each} for each in result["curve"]] or [dict(named)]
    parameters = result.get("parameters", {})
    scheduled = {f"schedule.{name}": parameters.get(name) for name in SCHEDULE}
    scheduled |= {f"schedule.{name}": parameters.get("synthesis", {}).get(name) for name in SYNTHESIS}
    scheduled["schedule.student_steps"] = parameters.get("student", {}).get("steps")
    seconds = {name: result.get(name) for name in ("synthesis_seconds", "student_seconds")}
    machine = {f"machine.{name}": result["machine"].get(name) for name in MACHINE}
    found[-1] |= {**seconds, **{name: result.get(name) for name in FINAL}, **scheduled, **machine}
    return found


class Table:
    """The CSV of a study: a run that stands here is done, whatever a queue says."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "runs.csv"

    def read(self) -> pd.DataFrame:
        """All rows so far."""
        if self.file.exists():
            return pd.read_csv(self.file)
        return pd.DataFrame(columns=[KEY, *Run.model_fields, *CURVE, *FINAL, *(f"machine.{name}" for name in MACHINE)])

    @property
    def done(self) -> set[str]:
        """The keys of runs that are in it."""
        return set(self.ends()[KEY])

    def asked(self) -> dict[str, str]:
        """Digest of what each finished run was asked for, by key, for the runs that have one."""
        ends = self.ends()
        if "asked_sha256" not in ends:
            return {}
        told = ends[ends["asked_sha256"].notna()]
        return dict(zip(told[KEY], told["asked_sha256"], strict=True))

    def ends(self) -> pd.DataFrame:
        """The last row of each finished run."""
        found = self.read()
        return found[found[END].notna()]

    def machines(self) -> list[str]:
        """Number of runs on each machine in each precision, as text."""
        told = {"precision": "precision"} | {f"machine.{name}": name for name in MACHINE}
        found = self.ends()[list(told)].rename(columns=told).convert_dtypes().astype(object)
        found["precision"] = found["precision"].fillna("not told")
        counted = found.where(found.notna(), "none").value_counts(sort=False).reset_index(name="runs")
        return [
            f"{(n := row.pop('runs'))} run{'s' * (n > 1)}: "
            + ", ".join(f"{name} {value}" for name, value in row.items())
            for row in counted.to_dict("records")
        ]

    def add(self, run: Run, result: dict[str, Any]) -> None:
        """Append a run that is not in the table; processes of this machine do so one after the other."""
        with self.held():
            if run.key in self.done:
                return
            new = pd.DataFrame(rows(run, result))
            whole = pd.concat([self.read(), new], ignore_index=True) if self.file.exists() else new
            write_atomically(self.file, lambda part: whole.to_csv(part, index=False, float_format="%.6g"))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the table, as two processes must not read and rewrite it at once."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.file.parent, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def summary(self) -> str:
        """Mean and deviation by group and setting, as Markdown."""
        ends = self.ends()
        if ends.empty:
            return "no run is finished"
        lines = [
            "| group | minutes | setting | judged on | n | accuracy, % | deviation | synthesis, s | student, s "
            "| images |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        by = ["group", "minutes", "setting", "judged_on"]
        for (group, minutes, setting, judged_on), part in ends.groupby(by, sort=False, dropna=False):
            spread = f"{100 * part[END].std():.2f}" if len(part) > 1 else ""
            mean = part[["synthesis_seconds", "student_seconds", "images"]].astype(float).mean()
            figures = " | ".join("" if pd.isna(value) else f"{value:,.0f}" for value in mean)
            time = "own" if pd.isna(float(str(minutes))) else f"{minutes:g}"
            lines.append(
                f"| {group} | {time} | {setting} | {judged_on} | {len(part)} | {100 * part[END].mean():.2f} | "
                f"{spread} | {figures} |"
            )
        return "\n".join(lines)
