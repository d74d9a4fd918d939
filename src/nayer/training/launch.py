"""One distillation by one process or by many: torch's elastic launcher here, torchrun on further machines.

torchrun --nnodes 2 --node-rank 1 --nproc-per-node 8 --master-addr HOST --master-port PORT -m nayer.training.launch
"""

import logging
import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection, Pipe, wait
from tempfile import TemporaryDirectory
from typing import Any, cast
from uuid import uuid4

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous import RendezvousError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from nayer import ranks
from nayer.config import DistillConfig, RuntimeConfig
from nayer.errors import InputError, Interrupted, Stopped, first_line
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier
from nayer.training.alike import check_alike, computing
from nayer.training.distillation import Distilled, distill
from nayer.training.health import ELSEWHERE
from nayer.training.reporting import Reporter, Silence
from nayer.training.resume import ResumePoint, going_on

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A process that is asked to stop first ends its batch and hands over its state.
SECONDS_TO_STOP = 120
# The other machines are started by hand.
SECONDS_TO_MEET = 900
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Job:
    """A distillation to do, and what identifies its state."""

    teacher: Classifier
    embeddings: LabelEmbeddings
    config: DistillConfig
    runtime: RuntimeConfig
    seed: int
    fingerprint: Mapping[str, Any]

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process with the teacher in parts: the class of a network of one's own may not be sent."""
        return _job, (self.teacher.parts(), {name: each for name, each in vars(self).items() if name != "teacher"})

    def run(self, reporter: Reporter) -> Distilled:
        """In this process, alone or as one of several."""
        resume = ResumePoint(self.runtime, "distill", self.fingerprint, reporter)
        return distill(self.teacher, self.embeddings, self.config, self.runtime, self.seed, resume, reporter)


def _job(teacher: dict[str, Any], rest: dict[str, Any]) -> Job:
    return Job(Classifier.of_parts(teacher), **rest)


def run(job: Job, reporter: Reporter) -> Distilled:
    """Do the job with as many processes as its `runtime` says.

    Raises:
        InputError: the inputs do not go together, or the machines do not find each other.
        Interrupted: stopped by a signal; the state is kept.
        Stopped: a process died, or could not go on; the state kept last stays.
    """
    if job.runtime.processes * job.runtime.machines == 1:
        return job.run(reporter)
    return _launch(job, reporter)


def check_processes(runtime: RuntimeConfig) -> None:
    """Refuse several machines that cannot find each other, and several processes on one GPU.

    Raises:
        InputError: names the key.
    """
    if runtime.machines > 1 and not re.fullmatch(r"[^:\s]+:\d+", runtime.address or ""):
        raise InputError(
            f"runtime.address: {runtime.address!r}, but {runtime.machines} machines need the host:port by which the "
            "others find this one; set it, for instance node1:29400."
        )
    if runtime.processes > 1 and ":" in runtime.device:
        raise InputError(
            f"runtime.device: '{runtime.device}' is one device for {runtime.processes} processes; "
            f"set {runtime.device.partition(':')[0]}, and every process takes its own."
        )
    gpus = torch.accelerator.device_count()
    if gpus and runtime.device != "cpu" and runtime.processes > gpus:
        raise InputError(
            f"runtime.processes: {runtime.processes} are more than the {gpus} accelerators of this machine; "
            f"take at most {gpus}, or runtime.device=cpu."
        )


class Relay(threading.Thread):
    """Passes on to a reporter what the processes of this machine send; each writes to a pipe of its own."""

    def __init__(self, reporter: Reporter, processes: int) -> None:
        super().__init__(daemon=True)
        self.reporter = reporter
        pipes = [Pipe(duplex=False) for _ in range(processes)]
        self.readers, self.writers = ([pair[side] for pair in pipes] for side in (0, 1))
        self.over = threading.Event()
        self.refused: str | None = None
        self.gave_up: str | None = None
        self.stopped_by: int | None = None
        self.fault: Exception | None = None

    def run(self) -> None:
        """Until the processes are over and all they sent is read."""
        while (ready := wait(self.readers, POLL_SECONDS)) or not self.over.is_set():
            for reader in cast("list[Connection[Any, Any]]", ready):
                try:
                    name, arguments = reader.recv()
                except (EOFError, OSError):  # died, perhaps in the middle of a word
                    self.readers.remove(reader)
                else:
                    self.take(name, arguments)

    def take(self, name: str, arguments: tuple[Any, ...]) -> None:
        """One message: how a process ended, or a call of the reporter."""
        if name == "refused":
            self.refused = arguments[0]
        elif name == "gave up":
            # The first one's cause, unless it only knows of another's.
            if self.gave_up is None or ELSEWHERE in self.gave_up:
                self.gave_up = arguments[0]
        elif name == "stopped":
            self.stopped_by = arguments[0]
        elif self.fault is None:
            try:
                getattr(self.reporter, name)(*arguments)
            except Exception as error:  # told when all is over; until then the processes must be listened to
                self.fault = error

    def finish(self) -> None:
        """Wait for the last words; a reporter that the first process left open is ended."""
        self.over.set()
        for writer in self.writers:
            writer.close()
        self.join()
        self.reporter.end()


class Messenger(Silence):
    """The reporter of the first process: sends every call to the process that started it."""

    def __init__(self, pipe: Connection, run_id: str) -> None:
        self.run_id = run_id
        for name in ("resumed", "say", "begin", "advance", "epoch", "end"):
            setattr(self, name, lambda *arguments, name=name: pipe.send((name, arguments)))


def _settings(runtime: RuntimeConfig, folder: str) -> LaunchConfig:
    """How to start the processes; a folder for the errors of those that die, which torch would leave behind."""
    alone = runtime.machines == 1
    return LaunchConfig(
        min_nodes=runtime.machines,
        max_nodes=runtime.machines,
        nproc_per_node=runtime.processes,
        logs_specs=DefaultLogsSpecs(folder),
        run_id=uuid4().hex if alone else "none",  # what torchrun calls itself by default
        rdzv_backend="c10d" if alone else "static",
        rdzv_endpoint="localhost:0" if alone else str(runtime.address),
        rdzv_configs={} if alone else {"rank": 0, "timeout": SECONDS_TO_MEET},
        local_addr="localhost" if alone else None,
        max_restarts=0,
        start_method="spawn",
        signals_to_handle=",".join(number.name for number in SIGNALS),
        shutdown_timeout=SECONDS_TO_STOP,
    )


def _launch(job: Job, reporter: Reporter) -> Distilled:
    """Start the processes of this machine, wait for them, and say what became of them."""
    runtime = job.runtime
    # Its warnings say at length what our one sentence says.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    relay = Relay(reporter, runtime.processes)
    relay.start()
    failure: Exception | None = None
    results: dict[int, dict[str, Any]] = {}
    try:
        with _handlers_kept(), TemporaryDirectory(prefix="nayer-") as folder:
            results = elastic_launch(_settings(runtime, folder), worker)(job, relay.writers, reporter.run_id)
    except (SignalException, ChildFailedError, RendezvousError, RuntimeError, OSError) as error:
        failure = error
    finally:
        relay.finish()
    if failure or relay.refused or relay.gave_up:
        raise _as_told(failure, relay, runtime) from failure
    if relay.fault:
        raise relay.fault
    return Distilled(**{**results[0], "student": Classifier.of_parts(results[0]["student"])})


def _as_told(failure: Exception | None, relay: Relay, runtime: RuntimeConfig) -> Exception:
    """The failure as one sentence; a fault of ours as it is."""
    if relay.refused:
        return InputError(relay.refused)
    if relay.gave_up:
        return Stopped(relay.gave_up)
    kept = going_on(runtime.resume_folder)
    number = failure.sigval if isinstance(failure, SignalException) else relay.stopped_by
    if number is not None:
        return Interrupted(f"distill stopped by {signal.Signals(number).name}. {kept}", number)
    if isinstance(failure, ChildFailedError):
        # Those that a signal ended died first; the others because of them.
        rank, first = min(failure.failures.items(), key=lambda item: (item[1].exitcode >= 0, item[1].timestamp))
        count = runtime.processes * runtime.machines
        return Stopped(f"distill: process {rank} of {count} died ({_cause(first)}), the others were stopped. {kept}")
    if runtime.machines > 1:
        return InputError(
            f"runtime.address: the {runtime.machines} machines did not come together at '{runtime.address}' "
            f"({first_line(failure) if failure else ''}); correct it, or start torchrun on all others."
        )
    return failure or RuntimeError("no result")


def _cause(failure: Any) -> str:
    """What is known of a process's end: its exception, or its signal."""
    message = failure.message.get("message", "") if isinstance(failure.message, dict) else failure.message
    return str(message).strip().splitlines()[0].rstrip(".")


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """The launcher sets handlers of signals and leaves them; elsewhere than in the main thread it sets none."""
    main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in SIGNALS} if main else {}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def worker(job: Job | None, pipes: list[Connection], run_id: str) -> dict[str, Any] | None:
    """One of the processes; the first one of all has the job and tells it to the others. Returns what it made there."""
    here = int(os.environ["LOCAL_RANK"])
    if here < torch.accelerator.device_count():
        torch.accelerator.set_device_index(here)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=timedelta(minutes=30))
    told: list[Any] = [job]
    dist.broadcast_object_list(told, 0)
    mine: Job = told[0]
    # What this process may use of the machine, where the system can tell.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(mine.runtime.threads or max(1, cores // int(os.environ["LOCAL_WORLD_SIZE"])))
    first = ranks.rank() == 0
    try:
        check_alike(ranks.everyones(computing(mine.runtime)))
        result = mine.run(Messenger(pipes[here], run_id) if first else Silence())
    except InputError as error:
        if pipes:
            pipes[here].send(("refused", (str(error),)))
        raise
    except Stopped as error:
        if pipes:
            pipes[here].send(("gave up", (str(error),)))
        raise
    except Interrupted as error:
        if pipes:
            pipes[here].send(("stopped", (error.signal_number,)))
        raise
    dist.destroy_process_group()
    return {**vars(result), "student": result.student.cpu().parts()} if first else None


if __name__ == "__main__":
    worker(None, [], "")
