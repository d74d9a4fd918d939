"""Metrics by epoch, sent while the node runs."""

import math
from collections.abc import Mapping

import mlflow

from nayer.training.reporting import Silence


class MlflowReporter(Silence):
    """Sends every epoch's figures to the open MLflow run without waiting for the answer; silent without a run."""

    def __init__(self) -> None:
        run = mlflow.active_run()
        self.run_id = run.info.run_id if run else ""

    def resumed(self, run_id: str) -> None:
        """Tag the open run as the continuation of `run_id`."""
        if self.run_id and run_id:
            mlflow.set_tag("resumed_from", run_id)

    def epoch(self, stage: str, epoch: int, values: Mapping[str, float | None]) -> None:
        """Log the figures that are numbers as `stage.name` at this epoch."""
        if not self.run_id:
            return
        numbers = {
            f"{stage}.{name}": value for name, value in values.items() if value is not None and math.isfinite(value)
        }
        numbers.pop(f"{stage}.epoch", None)
        mlflow.log_metrics(numbers, step=epoch, synchronous=False)
