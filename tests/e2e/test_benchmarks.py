"""The benchmarks run as their pages say; what they measure here is of no interest."""

import time

import pytest
from clones import heard_until_distilling

DIGITS = ("--shapes", "digits", "--rounds", "1")


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        (
            ("steps.py", *DIGITS, "--steps", "synthesis", "epoch", "epoch, cached targets"),
            "| digits | 1/40 epoch, cached targets |",
        ),
        (("steps.py", *DIGITS, "--steps", "epoch", "--part", "1"), "| digits | epoch |"),
        (("steps.py", *DIGITS, "--alone", "--no-compile"), "| digits | distillation |"),
        (("processes.py", "--shapes", "digits", "--processes", "1", "2"), "| digits | 2 |"),
        (("work.py",), "| imagenet resnet-50 > resnet-18, 48 / 128 images |"),
    ],
)
def test_a_benchmark_prints_its_table(typed, command, printed):
    script, *options = command
    done = typed("python", f"benchmarks/{script}", *options)
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout


def test_validation_accuracy_of_a_changed_recipe(typed):
    assert typed("kedro", "run", "--env", "test", "--pipelines", "lte,teacher").returncode == 0
    changes = ("--changes", "epochs=1", "student.cached_targets=2")
    done = typed("python", "benchmarks/validation.py", "test", "--seeds", "0", "1", *changes)
    assert done.returncode == 0, done.stderr
    assert "| mean (deviation) |" in done.stdout


def test_without_a_teacher_there_is_one_sentence(typed):
    done = typed("python", "benchmarks/validation.py", "test")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("is missing: kedro run --env test --pipelines lte,teacher")


def test_the_gpu_benchmark_goes_on_where_it_was_stopped(started, typed):
    settings = ("--device", "cpu", "--scenario", "digits", "--out", "found", "--teacher-epochs", "1", "--epochs", "20")
    pair = ("--teacher", "wrn-10-1", "--student", "wrn-10-1", "--warmup-epochs", "1")
    command = ("python", "benchmarks/gpu.py", *settings, *pair)
    process = started(*command)
    heard_until_distilling(process)
    time.sleep(2)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 75, "unfinished"
    done = typed(*command)
    assert done.returncode == 0, done.stderr
    assert "distill: going on in epoch" in done.stderr
    assert "end to end, wall seconds of all calls" in done.stdout
