"""One distillation by one process or by many: torch's elastic launcher here, torchrun on further machines.

torchrun --nnodes 2 --node-rank 1 --nproc-per-node 8 --master-addr HOST --master-port PORT -m nayer.training.launch
"""

import logging
import re
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import SimpleQueue, get_context
from typing import Any
from uuid import uuid4

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from nayer import ranks
from nayer.config import DistillConfig, RuntimeConfig
from nayer.errors import InputError, Interrupted, WorkerLost
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier
from nayer.training.distillation import Distilled, distill
from nayer.training.reporting import Reporter, Silence
from nayer.training.resume import ResumePoint

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Event = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Job:
    """A distillation to do, and what identifies its state."""

    teacher: Classifier
    embeddings: LabelEmbeddings
    config: DistillConfig
    runtime: RuntimeConfig
    seed: int
    fingerprint: Mapping[str, Any]

    def run(self, reporter: Reporter) -> Distilled:
        """In this process, alone or as one of several."""
        resume = ResumePoint(self.runtime, "distill", self.fingerprint, reporter)
        return distill(self.teacher, self.embeddings, self.config, self.runtime, self.seed, resume, reporter)


class Messenger:
    """Carries what the first process reports to the process that started it."""

    def __init__(self, queue: "SimpleQueue[Event | None]", run_id: str) -> None:
        self.queue, self.run_id = queue, run_id

    def __getattr__(self, name: str) -> Any:
        if name not in ("resumed", "say", "begin", "advance", "epoch", "end"):
            raise AttributeError(name)
        return lambda *arguments: self.queue.put((name, arguments))


def run(job: Job, reporter: Reporter) -> Distilled:
    """Do the job with as many processes as its `runtime` says.

    Raises:
        InputError: the inputs do not go together.
        Interrupted: stopped by a signal; the state is kept.
        WorkerLost: a process died; the state kept last stays.
    """
    runtime = job.runtime
    if runtime.processes * runtime.machines == 1:
        return job.run(reporter)
    return _launch(job, reporter)


def check_processes(runtime: RuntimeConfig) -> None:
    """Refuse several machines that cannot find each other, and more processes than GPUs.

    Raises:
        InputError: names the key.
    """
    if runtime.machines > 1 and not re.fullmatch(r"[^:\s]+:\d+", runtime.address or ""):
        raise InputError(
            f"runtime.address: {runtime.address!r}, but {runtime.machines} machines need the host:port by which the "
            "others find this one; set it, for instance node1:29400."
        )
    gpus = torch.accelerator.device_count()
    if gpus and runtime.device != "cpu" and runtime.processes > gpus:
        raise InputError(
            f"runtime.processes: {runtime.processes} are more than the {gpus} accelerators of this machine; "
            f"take at most {gpus}, or runtime.device=cpu."
        )


def _launch(job: Job, reporter: Reporter) -> Distilled:
    """Start the processes of this machine and wait for them."""
    runtime = job.runtime
    alone = runtime.machines == 1
    config = LaunchConfig(
        min_nodes=runtime.machines,
        max_nodes=runtime.machines,
        nproc_per_node=runtime.processes,
        run_id=uuid4().hex if alone else "none",  # what torchrun calls itself by default
        rdzv_backend="c10d" if alone else "static",
        rdzv_endpoint="localhost:0" if alone else str(runtime.address),
        rdzv_configs={} if alone else {"rank": 0, "timeout": 900},
        max_restarts=0,
        start_method="spawn",
        signals_to_handle=",".join(number.name for number in SIGNALS),
    )
    # Its warnings say at length what our one sentence says.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    queue: SimpleQueue[Event | None] = get_context("spawn").SimpleQueue()
    relay = threading.Thread(target=_relay, args=(queue, reporter), daemon=True)
    relay.start()
    # The launcher sets its own and leaves them.
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        results = elastic_launch(config, worker)(job, queue, reporter.run_id)
    except SignalException as stopped:
        raise Interrupted(
            f"distill stopped by {stopped.sigval.name}; its state is kept in '{runtime.resume_folder}/distill'. "
            "The same command goes on from there.",
            stopped.sigval,
            "distill",
        ) from None
    except ChildFailedError as failed:
        number, failure = failed.get_first_failure()
        raise WorkerLost(
            f"distill: process {number} of {runtime.processes * runtime.machines} died ({_cause(failure)}), the others "
            f"were stopped. The state kept last stays in '{runtime.resume_folder}/distill'; the same command goes on "
            "from there."
        ) from failed
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        queue.put(None)
        relay.join()
    result: Distilled | InputError = results[0]
    if isinstance(result, InputError):
        raise result
    return result


def _cause(failure: Any) -> str:
    """What is known of a process's end: its exception, or its signal."""
    message = failure.message.get("message", "") if isinstance(failure.message, dict) else failure.message
    return str(message).strip().splitlines()[0].rstrip(".")


def _relay(queue: "SimpleQueue[Event | None]", reporter: Reporter) -> None:
    """Pass on what the first process reports, until None comes."""
    while (event := queue.get()) is not None:
        getattr(reporter, event[0])(*event[1])


def worker(job: Job | None, queue: "SimpleQueue[Event | None] | None", run_id: str) -> Distilled | InputError | None:
    """One of the processes; the first has the job and tells it to the others. Returns what the first one made."""
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        told: list[Any] = [job]
        dist.broadcast_object_list(told, 0)
        if queue is None or ranks.rank() > 0:
            told[0].run(Silence())
            return None
        result: Distilled = told[0].run(Messenger(queue, run_id))
        result.student.cpu()
        return result
    except InputError as error:
        return error
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    worker(None, None, "")
