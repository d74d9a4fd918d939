"""Outbox for a run's MLflow calls: a background thread sends them in order, and keeps them if the server is down.

A training step never waits for MLflow, and nothing is lost if the server goes down during a run: what could not be sent
is written to the outbox's folder, and the next run sends it.
"""

import hashlib
import json
import shutil
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import requests
from mlflow import MlflowClient
from mlflow.entities import Metric, RunTag
from mlflow.exceptions import MlflowException

from nayer.core.errors import first_line, reason
from nayer.core.files import write_atomically

RETRY_SECONDS = 10.0
CLOSING_SECONDS = 60.0
# Entries sent in one call, below the limits of MLflow.
MAX_METRICS, MAX_TAGS = 900, 90
MIN_SERVER_ERROR = 500

Item = dict[str, Any]


class Outbox:
    """Queue through which one run sends everything to its MLflow store."""

    def __init__(self, run_id: str, folder: Path, retry_seconds: float = RETRY_SECONDS) -> None:
        self.run_id, self.folder, self.retry_seconds = run_id, folder, retry_seconds
        self.client = MlflowClient()
        self.pending: deque[Item] = deque()
        self.trouble = ""
        self.refused: list[str] = []
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="mlflow-outbox", daemon=True)
        self._thread.start()

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Queue metrics of a step, with the current time."""
        at = round(time.time() * 1000)
        self._put({"metrics": [[name, float(value), at, step] for name, value in values.items()]})

    def tags(self, values: Mapping[str, str]) -> None:
        """Queue tags of the run."""
        self._put({"tags": [[name, value] for name, value in values.items()]})

    def artifact(self, path: Path) -> None:
        """Queue a file as an artefact; its content is read when it is sent."""
        self._put({"artifact": str(path.absolute())})

    def close(self, status: str, patience: float = CLOSING_SECONDS) -> str | None:
        """End the run once all is sent, or give up after `patience` seconds; returns a message on what was not sent."""
        self._put({"end": status, "at": round(time.time() * 1000)})
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(patience)
        told = [f"MLflow refused: {'; '.join(self.refused[:3])}."] if self.refused else []
        if self.pending:
            why = f"MLflow could not be reached ({self.trouble or 'no answer'}); what it missed of run {self.run_id}"
            try:
                told.append(f"{why} is kept in '{self._keep()}' and sent by the next run.")
            except OSError as error:
                told.append(f"{why} is lost, because it could not be kept in '{self.folder}' either ({reason(error)}).")
        return " ".join(told) or None

    def _put(self, item: Item) -> None:
        with self._changed:
            self.pending.append(item)
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.pending or self._closing)
                batch = first_batch(self.pending)
                closing = self._closing
            if not batch:
                return
            try:
                send(self.client, self.run_id, batch)
            except (MlflowException, OSError) as error:
                self.trouble = shortened(error)
                if not refused(error):
                    if closing:
                        return
                    with self._changed:
                        self._changed.wait_for(lambda: self._closing, self.retry_seconds)
                    continue
                self.refused.append(self.trouble)
            with self._changed:
                for _ in batch:
                    self.pending.popleft()

    def _keep(self) -> Path:
        """Write what is pending to the folder, with copies of its files."""
        file = self.folder / store_key() / f"{self.run_id}.json"
        items = list(self.pending)
        for item in items:
            if "artifact" in item and Path(item["artifact"]).is_file():
                copy = file.with_suffix("") / Path(item["artifact"]).name
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(item["artifact"], copy)
                item["artifact"] = str(copy.absolute())
        write_atomically(file, lambda part: part.write_text(json.dumps(items)))
        return file


def first_batch(pending: deque[Item]) -> list[Item]:
    """Items from the front that fit into one call: metrics and tags together, anything else alone."""
    batch: list[Item] = []
    metrics = tags = 0
    for item in pending:
        metrics += len(item.get("metrics", ()))
        tags += len(item.get("tags", ()))
        mergeable = "metrics" in item or "tags" in item
        if batch and (not mergeable or metrics > MAX_METRICS or tags > MAX_TAGS):
            break
        batch.append(item)
        if not mergeable:
            break
    return batch


def send(client: MlflowClient, run_id: str, batch: list[Item]) -> None:
    """Send a batch from `first_batch` in one call."""
    item = batch[0]
    if "artifact" in item:
        client.log_artifact(run_id, item["artifact"])
    elif "end" in item:
        client.set_terminated(run_id, item["end"], item["at"])
    else:
        client.log_batch(
            run_id,
            metrics=[Metric(*entry) for each in batch for entry in each.get("metrics", ())],
            tags=[RunTag(*entry) for each in batch for entry in each.get("tags", ())],
        )


def refused(error: Exception) -> bool:
    """Whether a retry would fail, too: the server refused the call or the file is gone. If not, the server is down."""
    if isinstance(error, MlflowException):
        return bool(error.get_http_status_code() < MIN_SERVER_ERROR)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code < MIN_SERVER_ERROR
    return isinstance(error, FileNotFoundError)


def shortened(error: Exception) -> str:
    """First line of an error, at most 200 characters."""
    return first_line(error)[:200]


def send_kept(folder: Path) -> list[str]:
    """Send what earlier runs could not send to this store; returns messages for the user.

    What the server refuses, such as metrics of a deleted run, is dropped and reported: it must not hold up later runs.
    If the server is down again, what is not yet sent stays.
    """
    client = MlflowClient()
    told: list[str] = []
    for file in sorted((folder / store_key()).glob("*.json")):
        try:
            pending, refusals = deque(json.loads(file.read_text())), []
        except FileNotFoundError:  # a run on another machine has sent it
            continue
        while batch := first_batch(pending):
            try:
                send(client, file.stem, batch)
            except (MlflowException, OSError) as error:
                if not refused(error):
                    return told
                refusals.append(shortened(error))
            for _ in batch:
                pending.popleft()
        file.unlink(missing_ok=True)
        shutil.rmtree(file.with_suffix(""), ignore_errors=True)
        because = f", but for what it refused: {refusals[0]}" if refusals else ""
        told.append(f"Sent to MLflow what it had missed of run {file.stem}{because}.")
    return told


def store_key() -> str:
    """Key that identifies the store without its address, which may hold a password."""
    return hashlib.sha256(mlflow.get_tracking_uri().encode()).hexdigest()[:12]
