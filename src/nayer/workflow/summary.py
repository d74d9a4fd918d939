"""The summary that a run prints when it is done: results if there are any, and the next step."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

MODELS = ("teacher", "student")
NEXT = {
    "lte": "kedro run --pipelines teacher",
    "teacher": "kedro run --pipelines distill",
    "distill": "kedro run --pipelines evaluate",
}


def print_summary(stages: list[str], scenario: str, reports: Path) -> None:
    """Print the summary to stdout; `reports` is the folder of metrics.json, cost.json and report.html."""
    console = Console()
    if "evaluate" in stages:
        metrics = json.loads((reports / "metrics.json").read_text())
        cost = json.loads((reports / "cost.json").read_text())
        console.print(results(scenario, metrics, cost))
        console.print(f"Report   {relative(reports)}/report.html", highlight=False, soft_wrap=True)
        console.print("Tracking make ui, then open http://127.0.0.1:5000", highlight=False)
        console.print(f"Next     kedro run --env {scenario} --pipelines promote", highlight=False, soft_wrap=True)
    if "quantize" in stages:
        metrics, cost = (json.loads((reports / f"int8_{part}.json").read_text()) for part in ("metrics", "cost"))
        console.print(precisions(scenario, metrics, cost))
        console.print(f"Report   {relative(reports)}/int8.html", highlight=False, soft_wrap=True)
        # Only a student can become a version.
        promote = f"kedro run --env {scenario} --pipelines promote"
        following = promote if metrics["model"] == "student" else "run it with onnxruntime (docs/mlops.md)"
        console.print(f"Next     {following}", highlight=False, soft_wrap=True)
    if "promote" in stages:
        done = json.loads((reports / "promotion.json").read_text())
        state = "champion" if done["champion"] else "challenger, never champion without real test data"
        console.print(f"Version {done['version']} of '{done['model']}' is {state}.", highlight=False, soft_wrap=True)
        console.print("\n".join(done["gate"]), highlight=False, markup=False, soft_wrap=True)
        if "onnx" in done:
            found = f"{done['onnx']['file']} (its logits differ by {done['onnx']['largest_deviation']:.1g} at most)"
            console.print(f"ONNX: {found}", highlight=False, markup=False, soft_wrap=True)
        if "int8" in done:
            console.print(f"INT8: {done['int8']}", highlight=False, markup=False, soft_wrap=True)
        alias = "champion" if done["champion"] else "challenger"
        serve = f"mlflow models serve -m models:/{done['model']}@{alias} --env-manager local"
        console.print(f"Next: {serve}", highlight=False, markup=False, soft_wrap=True)
    elif "rollback" in stages:
        done = json.loads((reports / "rollback.json").read_text())
        console.print(
            f"Version {done['to_version']} of '{done['model']}' is champion again, in place of {done['from_version']}.",
            highlight=False,
            soft_wrap=True,
        )
    elif stages and stages[-1] in NEXT:
        following = f"{NEXT[stages[-1]]} --env {scenario}"
        console.print(f"{', '.join(stages)} done. Next: {following}", highlight=False, soft_wrap=True)


def relative(folder: Path) -> Path:
    """Path relative to the current folder, if it lies inside."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def precisions(scenario: str, metrics: dict[str, Any], cost: dict[str, Any]) -> Table:
    """Table of a model in fp32 and in INT8, side by side."""
    from nayer.evaluation.int8_report import rows

    images = "test data" if metrics["test_data"] else "synthetic images"
    title = f"{scenario}, {metrics['model']}: {images}, n = {metrics['images']:,}"
    table = Table("", "fp32", "INT8", "", title=title, title_justify="left")
    for name, values in rows(metrics, cost):
        table.add_row(name, *values)
    return table


def results(scenario: str, metrics: dict[str, Any], cost: dict[str, Any]) -> Table:
    """Table of teacher and student, side by side."""
    labelled = "student" in metrics
    images = f"test data, n = {metrics['test_images']:,}" if labelled else "synthetic images only"
    table = Table(title=f"{scenario}: {images}", title_justify="left")
    table.add_column()
    for model in MODELS:
        table.add_column(f"{model} ({cost[model]['architecture'].partition('{')[0]})", justify="right")
    rows = (
        *([("top-1 accuracy", [f"{metrics[model]['top1']:.2%}" for model in MODELS])] if labelled else []),
        ("agreement with the teacher", ["", f"{metrics['agreement']:.2%}"]),
        ("parameters", [f"{cost[model]['parameters']:,}" for model in MODELS]),
        ("multiply-adds per image", [f"{cost[model]['macs']:,}" for model in MODELS]),
        ("file", [f"{cost[model]['file_bytes'] / 1024:,.0f} KiB" for model in MODELS]),
        ("training", [f"{cost[stage]['seconds']:.0f} s" for stage in ("teacher_training", "distillation")]),
    )
    for name, values in rows:
        table.add_row(name, *values)
    return table
