"""The runs of a study in MLflow, all under one parent."""

from typing import Any

import mlflow
import yaml
from mlflow.entities import Metric, Param, RunTag

from harness.scenario import PROJECT
from harness.settings import Run
from nayer.core.nested import flatten
from nayer.mlops.tracking.store import open_experiment, point_to_store

PARENT, NAME, STUDY, ENDED = "mlflow.parentRunId", "mlflow.runName", "study", "ended"
MAX_PARAM = 500


class Tracker:
    """Writes results to MLflow, none of them twice."""

    def __init__(self, study: str) -> None:
        settings = yaml.safe_load((PROJECT / "conf" / "base" / "mlflow.yml").read_text())
        point_to_store(PROJECT, settings["tracking_uri"])
        open_experiment(PROJECT, f"study-{study}")
        self.client = mlflow.MlflowClient()
        self.experiment = mlflow.set_experiment(f"study-{study}").experiment_id
        found = self.client.search_runs([self.experiment], f"tags.{STUDY} = '{study}'", max_results=1)
        self.parent = (
            found[0] if found else self.client.create_run(self.experiment, tags={STUDY: study, NAME: f"study {study}"})
        )

    def write(self, run: Run, result: dict[str, Any]) -> None:
        """Write one finished run: its parameters, its curve and its results."""
        # Known by the time it ended, too: a run that was taken out of the table is made again under the same name.
        tags = {PARENT: self.parent.info.run_id, NAME: run.key, ENDED: result["finished"]}
        known = " and ".join(f"tags.{key} = '{value}'" for key, value in tags.items())
        if self.client.search_runs([self.experiment], f"{known} and attributes.status = 'FINISHED'", max_results=1):
            return
        tags |= {"judged_on": result["judged_on"]}
        child = self.client.create_run(self.experiment, tags=tags).info.run_id
        said = flatten({**run.model_dump(), **result.get("parameters", {})})
        numbers = {key: value for key, value in result.items() if isinstance(value, float | int)}
        metrics = [Metric(key, float(value), 0, 0) for key, value in numbers.items()]
        metrics += [
            Metric(key, float(row[key]), 0, row["epoch"]) for row in result["curve"] for key in row if key != "epoch"
        ]
        self.client.log_batch(
            child,
            metrics,
            [Param(key, str(value)[:MAX_PARAM]) for key, value in said.items()],
            [RunTag(f"machine.{key}", str(value)) for key, value in result["machine"].items()],
        )
        for done in (child, self.parent.info.run_id):
            self.client.set_terminated(done)
