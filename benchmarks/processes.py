"""What several processes on one CPU machine gain, and what their messages cost.

    python benchmarks/processes.py --shapes fashion_mnist --processes 1 2

Every row is a real distillation of a few steps by `nayer.distillation.launch`; the processes share the threads.
"""

import argparse
import tempfile
import time
from statistics import median

import click
import torch
import torch.distributed as dist
from harness.scenario import runtime
from steps import CPU, SHAPES, WIDTH, distill_config, machine, teacher_of
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from nayer.distillation.launch import Job, run
from nayer.engine.progress import NullReporter
from nayer.lte.embeddings import LabelEmbeddings

SYNTHESIS_STEPS, STUDENT_STEPS, ROUNDS = 6, 12, 10


def step_seconds(name: str, processes: int) -> tuple[float, float]:
    """Seconds of a synthesis and of a distillation step, over two epochs, without what surrounds the steps."""
    shape = SHAPES[name]
    config = distill_config(shape)
    synthesis = config.synthesis.model_copy(update={"steps": SYNTHESIS_STEPS, "batches": 1, "warmup_batches": 1})
    # Online targets: making cached ones would count as synthesis.
    student = config.student.model_copy(update={"steps": STUDENT_STEPS, "cached_targets": None})
    schedule = {"warmup_epochs": 0, "epochs": 2, "probe_images": 1}
    config = config.model_copy(update={"synthesis": synthesis, "student": student, **schedule})
    teacher = teacher_of(shape)
    table = LabelEmbeddings(torch.randn(shape.classes, WIDTH), teacher.class_names, "random", "", "unused")
    with tempfile.TemporaryDirectory() as folder:
        settings = runtime(device="cpu", processes=processes, resume_folder=folder, checkpoint_seconds=1e9)
        done = run(Job(teacher, table, config, settings, 0), NullReporter())
    steps = {"synthesis": 2 * SYNTHESIS_STEPS, "student": 2 * STUDENT_STEPS}
    made, learnt = (done.seconds[phase] / count for phase, count in steps.items())
    return made, learnt


def all_reduce_seconds(count: int) -> float:
    """Seconds of an all-reduce of `count` fp32 values, measured in one of the processes."""
    dist.init_process_group("gloo")
    values, taken = torch.ones(count), []
    for _ in range(ROUNDS):
        dist.barrier()
        began = time.perf_counter()
        dist.all_reduce(values)
        taken.append(time.perf_counter() - began)
    dist.destroy_process_group()
    return median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description="Several processes on one CPU machine.")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["fashion_mnist", "cifar10 wrn-16-2 > wrn-16-1"])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    click.echo(f"{machine(CPU)}\n| shape | processes | synthesis step, s | distillation step, s |\n|---|---|---|---|")
    for name in options.shapes:
        for processes in options.processes:
            made, learnt = step_seconds(name, processes)
            click.echo(f"| {name} | {processes} | {made:.4g} | {learnt:.4g} |")
    click.echo("| all-reduce by gloo, processes | MB | seconds |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for processes in (count for count in options.processes if count > 1):
            config = LaunchConfig(
                min_nodes=1,
                max_nodes=1,
                nproc_per_node=processes,
                logs_specs=DefaultLogsSpecs(folder),
                run_id="all-reduce",
                rdzv_backend="c10d",
                rdzv_endpoint="localhost:0",
                max_restarts=0,
            )
            # One value is about what the processes exchange after every batch.
            for count in (1, 250_000, 8_500_000):
                seconds = elastic_launch(config, all_reduce_seconds)(count)[0]
                click.echo(f"| {processes} | {4 * count / 1e6:g} | {seconds:.5f} |")


if __name__ == "__main__":
    main()
