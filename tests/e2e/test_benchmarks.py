"""The benchmarks run as their pages say; the figures that they give here do not matter."""

import mlflow
import pytest

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


STUDY = """
name: tiny
results: results
reference: nayer
teachers:
  test: {scenario: test, architecture: wrn-10-1}
pairs:
  test: {teacher: test, epochs: 4}
settings:
  nayer: {method: nayer}
  zskt: {method: zskt}
  kd_noise: {baseline: kd_noise}
groups:
  tier: {pair: test, minutes: [0.2], seeds: [0], settings: [nayer, zskt, kd_noise]}
searches:
  rate: {pair: test, base: nayer, minutes: 0.1, seed: 1, trials: 2, space: {distill.student.learning_rate: [0.05, 0.1]}}
"""


def test_a_study_goes_on_where_it_was_stopped_and_does_nothing_twice(typed, project):
    (project / "study.yml").write_text(STUDY)
    command = ("python", "benchmarks/study.py", "study.yml")
    stopped = typed(*command, "--minutes", "0.5")
    assert stopped.returncode in (0, 75), stopped.stderr
    done = typed(*command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| tier | 0.2 |") == 3
    table = (project / "results" / "runs.csv").read_text()
    again = typed(*command)
    assert again.returncode == 0, again.stderr
    assert (project / "results" / "runs.csv").read_text() == table
    assert "Measuring" not in again.stderr
    unknown = typed(*command, "--only", "gone")
    assert unknown.stderr.strip() == "--only: no run is called 'gone'; the first of all is 'tier-test-nayer-0.2min-s0'."
    found = mlflow.MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    experiment = found.get_experiment_by_name("study-tiny").experiment_id
    runs = found.search_runs([experiment])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == 3
    searched = typed(*command, "--search", "rate")
    assert searched.returncode == 0, searched.stderr
    assert "Next: results/search_rate.csv holds every trial" in searched.stdout
    assert len((project / "results" / "search_rate.csv").read_text().splitlines()) == 3


def test_the_gpu_benchmark_does_what_there_is_time_for_and_goes_on_with_the_rest(typed):
    command = ("python", "benchmarks/gpu.py", "--device", "cpu", "--out", "found", "--minutes", "0.51")
    first = typed(*command)
    assert first.returncode == 75, first.stderr
    assert '"passed": true' in first.stdout
    assert "the same command goes on with step times, cifar10 wrn-40-2 > wrn-16-1" in first.stdout
    listed = typed(*command, "--list").stdout.splitlines()
    assert listed[0].split() == ["done", "1", "min", "self-test"]
    assert listed[1].startswith("a later call")
