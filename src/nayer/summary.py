"""What a run prints when it is done: results if there are any, and the next step."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

NEXT = {
    "lte": "kedro run --pipelines teacher",
    "teacher": "kedro run --pipelines distill",
    "distill": "kedro run --pipelines evaluate",
}


def print_summary(stages: list[str], scenario: str, reports: Path) -> None:
    """Print to stdout; `reports` is the folder of metrics.json, cost.json and report.html."""
    console = Console()
    if "evaluate" in stages:
        metrics = json.loads((reports / "metrics.json").read_text())
        cost = json.loads((reports / "cost.json").read_text())
        console.print(results(scenario, metrics, cost))
        shown = reports.relative_to(Path.cwd()) if reports.is_relative_to(Path.cwd()) else reports
        console.print(f"Report   {shown}/report.html", highlight=False, soft_wrap=True)
        console.print("Tracking make ui, then open http://127.0.0.1:5000", highlight=False)
    elif stages:
        following = f"{NEXT[stages[-1]]} --env {scenario}"
        console.print(f"{', '.join(stages)} done. Next: {following}", highlight=False, soft_wrap=True)


def results(scenario: str, metrics: dict[str, Any], cost: dict[str, Any]) -> Table:
    """Teacher and student side by side."""
    table = Table(title=f"{scenario}: test data, n = {metrics['test_images']:,}", title_justify="left")
    table.add_column()
    for model in ("teacher", "student"):
        table.add_column(f"{model} ({cost[model]['architecture']})", justify="right")
    rows = (
        ("top-1 accuracy", [f"{metrics[model]['top1']:.2%}" for model in ("teacher", "student")]),
        ("agreement with the teacher", ["", f"{metrics['agreement']:.2%}"]),
        ("parameters", [f"{cost[model]['parameters']:,}" for model in ("teacher", "student")]),
        ("multiply-adds per image", [f"{cost[model]['macs']:,}" for model in ("teacher", "student")]),
        ("file", [f"{cost[model]['file_bytes'] / 1024:,.0f} KiB" for model in ("teacher", "student")]),
        ("training", [f"{cost[stage]['seconds']:.0f} s" for stage in ("teacher_training", "distillation")]),
    )
    for name, values in rows:
        table.add_row(name, *values)
    return table
