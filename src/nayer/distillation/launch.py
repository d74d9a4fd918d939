"""Runs one distillation in one process or several: torch's elastic launcher here, torchrun on further machines.

torchrun --nnodes 2 --node-rank 1 --nproc-per-node 8 --master-addr HOST --master-port PORT -m nayer.distillation.launch
"""

import logging
import os
import re
import signal
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous import RendezvousError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from nayer.core.errors import InputError, Interrupted, Stopped, first_line
from nayer.distillation.config import DistillConfig
from nayer.distillation.loop import Distilled, distill
from nayer.distillation.plan import plan
from nayer.distillation.relay import Messenger, Relay
from nayer.engine import distributed
from nayer.engine.allocator import keep_freed_memory
from nayer.engine.config import RuntimeConfig
from nayer.engine.consistency import check_consistent, describe_process
from nayer.engine.progress import NullReporter, Reporter
from nayer.engine.resume import ResumePoint
from nayer.engine.signals import SIGNALS, handling
from nayer.engine.state_folder import resume_hint
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier

# A process that is asked to stop first finishes its batch and hands over its state.
SECONDS_TO_STOP = 120
# Long, as the other machines are started by hand.
SECONDS_TO_MEET = 900


@dataclass(frozen=True)
class Job:
    """A distillation to run: its inputs, parameters and seed."""

    teacher: Classifier
    embeddings: LabelEmbeddings | None
    config: DistillConfig
    runtime: RuntimeConfig
    seed: int

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the teacher in parts, as the class of a user's own network may not be picklable."""
        return _job, (self.teacher.parts(), {name: each for name, each in vars(self).items() if name != "teacher"})

    def run(self, reporter: Reporter) -> Distilled:
        """Distil in this process, alone or as one of several."""
        mine = plan(self.teacher, self.embeddings, self.config, self.runtime, self.seed)
        return distill(mine, ResumePoint(self.runtime, "distill", mine.fingerprint, reporter), reporter)


def _job(teacher: dict[str, Any], rest: dict[str, Any]) -> Job:
    return Job(Classifier.of_parts(teacher), **rest)


def run(job: Job, reporter: Reporter) -> Distilled:
    """Run the job with as many processes as its `runtime` says.

    Raises:
        InputError: the inputs do not go together, or the machines do not find each other.
        Interrupted: stopped by a signal; the state is kept.
        Stopped: a process died or could not go on; the last kept state stays.
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


def _settings(runtime: RuntimeConfig, folder: str) -> LaunchConfig:
    """Launcher settings; `folder` takes the error files of processes that die, which torch would leave behind."""
    alone = runtime.machines == 1
    return LaunchConfig(
        min_nodes=runtime.machines,
        max_nodes=runtime.machines,
        nproc_per_node=runtime.processes,
        logs_specs=DefaultLogsSpecs(folder),
        run_id=uuid4().hex if alone else "none",  # torchrun's default run id
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
    """Start the processes of this machine, wait for them, and return their result or raise their failure."""
    runtime = job.runtime
    # The launcher's long warnings would repeat our one-sentence error.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    relay = Relay(reporter, runtime.processes)
    relay.start()
    failure: Exception | None = None
    results: dict[int, dict[str, Any]] = {}
    try:
        with handling(), TemporaryDirectory(prefix="nayer-") as folder:
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
    """The failure as an error of one sentence; one that we cannot explain, as it is."""
    if relay.refused:
        return InputError(relay.refused)
    if relay.gave_up:
        return Stopped(relay.gave_up)
    kept = resume_hint(runtime.resume_folder)
    number = failure.sigval if isinstance(failure, SignalException) else relay.stopped_by
    if number is not None:
        return Interrupted(f"distill stopped by {signal.Signals(number).name}. {kept}", number)
    if isinstance(failure, ChildFailedError):
        # A process that a signal killed comes first: the others failed because of it.
        rank, first = min(failure.failures.items(), key=lambda item: (item[1].exitcode >= 0, item[1].timestamp))
        count = runtime.processes * runtime.machines
        return Stopped(f"distill: process {rank} of {count} died ({_cause(first)}); the others were stopped. {kept}")
    if runtime.machines > 1:
        return InputError(
            f"runtime.address: the {runtime.machines} machines did not meet at '{runtime.address}' "
            f"({first_line(failure) if failure else ''}); correct it, or start torchrun on all others."
        )
    return failure or RuntimeError("no result")


def _cause(failure: Any) -> str:
    """First line of what the launcher knows about a process's end: its exception or its signal."""
    message = failure.message.get("message", "") if isinstance(failure.message, dict) else failure.message
    return str(message).strip().splitlines()[0].rstrip(".")


def worker(job: Job | None, pipes: list[Connection], run_id: str) -> dict[str, Any] | None:
    """Run one of the processes. The first of all has the job and broadcasts it; it alone returns the result."""
    here = int(os.environ["LOCAL_RANK"])
    if here < torch.accelerator.device_count():
        torch.accelerator.set_device_index(here)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=timedelta(minutes=30))
    told: list[Any] = [job]
    dist.broadcast_object_list(told, 0)
    mine: Job = told[0]
    # The cores that this process may use, where the system can tell.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(mine.runtime.threads or max(1, cores // int(os.environ["LOCAL_WORLD_SIZE"])))
    keep_freed_memory()
    first = distributed.rank() == 0
    try:
        check_consistent(distributed.all_gather(describe_process(mine.runtime)))
        result = mine.run(Messenger(pipes[here], run_id) if first else NullReporter())
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
