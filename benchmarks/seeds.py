"""Run a scenario for several seeds and write what came out to docs/results/, with the cost of every run.

    python benchmarks/seeds.py digits --seeds 0 1 2

Each run is the plain `kedro run --env SCENARIO --params seed=N`; a seed whose result is already there is not run again.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import psutil

PROJECT = Path(__file__).parents[1]


def measured(command: list[str]) -> tuple[float, float]:
    """Wall seconds of a command, and the largest resident set of its process tree in GiB."""
    began, peak = time.monotonic(), 0
    process = subprocess.Popen(command, cwd=PROJECT)
    tree = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            peak = max(peak, sum(each.memory_info().rss for each in (tree, *tree.children(recursive=True))))
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return time.monotonic() - began, peak / 2**30


def run(scenario: str, seed: int) -> dict[str, Any]:
    """One run and everything that is reported about it."""
    wall, memory = measured(
        [str(Path(sys.executable).with_name("kedro")), "run", "--env", scenario, "--params", f"seed={seed}"]
    )
    reports = PROJECT / "data" / "08_reporting" / scenario
    student = PROJECT / "data" / "06_models" / scenario / "student.safetensors"
    return {
        "seed": seed,
        "metrics": json.loads((reports / "metrics.json").read_text()),
        "cost": json.loads((reports / "cost.json").read_text()),
        "wall_seconds": round(wall, 1),
        "peak_rss_gib": round(memory, 2),
        "student_sha256": hashlib.sha256(student.read_bytes()).hexdigest(),
    }


def table(scenario: str, results: list[dict[str, Any]]) -> str:
    """The results as a page: one row a seed, then mean and deviation."""
    columns: dict[str, Callable[[dict[str, Any]], float]] = {
        "teacher top-1, %": lambda r: 100 * r["metrics"]["teacher"]["top1"],
        "student top-1, %": lambda r: 100 * r["metrics"]["student"]["top1"],
        "agreement, %": lambda r: 100 * r["metrics"]["agreement"],
        "teacher training, s": lambda r: r["cost"]["teacher_training"]["seconds"],
        "distillation, s": lambda r: r["cost"]["distillation"]["seconds"],
        "whole run, s": lambda r: r["wall_seconds"],
        "peak memory, GiB": lambda r: r["peak_rss_gib"],
    }
    rows = [[str(r["seed"]), *(f"{value(r):.2f}" for value in columns.values())] for r in results]
    if len(results) > 1:
        for name, summary in (("mean", mean), ("deviation", stdev)):
            rows.append([name, *(f"{summary([value(r) for r in results]):.2f}" for value in columns.values())])
    cost = results[0]["cost"]
    machine = ", ".join(f"{key} {value or 'none'}" for key, value in cost["machine"].items())
    lines = [
        f"# {scenario}: {cost['teacher']['architecture']} > {cost['student']['architecture']}",
        "",
        f"Test data, n = {results[0]['metrics']['test_images']:,}, student of the last epoch, "
        f"{cost['ratio']['parameters']:.1f} times fewer parameters.",
        f"Command: `python benchmarks/seeds.py {scenario} --seeds {' '.join(str(r['seed']) for r in results)}`.",
        f"Machine: {machine}.",
        "",
        f"| seed | {' | '.join(columns)} |",
        f"|{'---|' * (len(columns) + 1)}",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        "Digests of the students (sha256): " + ", ".join(f"seed {r['seed']} `{r['student_sha256']}`" for r in results),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    folder = PROJECT / "docs" / "results"
    kept = folder / f"{arguments.scenario}.json"
    results: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    for seed in arguments.seeds:
        if str(seed) not in results:
            results[str(seed)] = run(arguments.scenario, seed)
            folder.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(results, indent=1) + "\n")
    page = table(arguments.scenario, [results[str(seed)] for seed in arguments.seeds])
    (folder / f"{arguments.scenario}.md").write_text(page)
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
