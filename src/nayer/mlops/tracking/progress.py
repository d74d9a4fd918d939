"""A reporter that sends the metrics of each epoch to MLflow while the node runs."""

import math
from collections.abc import Mapping

from nayer.engine.progress import NullReporter
from nayer.mlops.tracking.run import current


class MlflowReporter(NullReporter):
    """Sends every epoch's metrics to the open MLflow run without waiting for a response; does nothing without a run."""

    def __init__(self) -> None:
        self.outbox = current()
        self.run_id = self.outbox.run_id if self.outbox else ""

    def resumed(self, run_id: str) -> None:
        """Tag the open run as the continuation of `run_id`."""
        if self.outbox and run_id:
            self.outbox.tags({"resumed_from": run_id})

    def epoch(self, stage: str, epoch: int, values: Mapping[str, float | None]) -> None:
        """Log the finite values as metrics `stage.name` at this epoch."""
        if self.outbox is None:
            return
        numbers = {
            f"{stage}.{name}": value for name, value in values.items() if value is not None and math.isfinite(value)
        }
        numbers.pop(f"{stage}.epoch", None)
        self.outbox.metrics(numbers, epoch)
