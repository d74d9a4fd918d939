"""The HTML page that compares an INT8 file with its fp32 original."""

from collections.abc import Iterator, Mapping
from typing import Any

from nayer.core.formats import decimal, percent, points, times
from nayer.evaluation.templates import fill

Rows = Iterator[tuple[str, list[str]]]


def rows(metrics: Mapping[str, Any], cost: Mapping[str, Any]) -> Rows:
    """Table rows: what is compared, and the figures of fp32, of INT8, and the difference or ratio of the two."""
    for key, name in (("top1", "Top-1 accuracy"), ("agreement", "Agreement with the teacher")):
        if key in metrics["fp32"]:
            fp32, int8 = (metrics[precision][key] for precision in ("fp32", "int8"))
            yield name, [percent(fp32), percent(int8), f"{points(int8 - fp32)} points"]
    fp32, int8 = (metrics[precision]["file_bytes"] / 1024 for precision in ("fp32", "int8"))
    yield "File, KiB", [decimal(fp32), decimal(int8), f"{times(fp32 / int8)} smaller"]
    for key, batch in (("latency_ms_batch_1", "one image"), ("latency_ms_batch_64", "64 images")):
        fp32, int8 = (cost[precision][key] for precision in ("fp32", "int8"))
        yield f"Latency of {batch}, ms", [decimal(fp32), decimal(int8), f"{times(fp32 / int8)} as fast"]


def difference(loss_points: float) -> str:
    """What INT8 loses in percentage points, in words; a negative loss is a gain."""
    if not loss_points:
        return "nothing lost"
    return f"{abs(loss_points):.2f} points {'lost' if loss_points > 0 else 'gained'}"


def render(metrics: Mapping[str, Any], cost: Mapping[str, Any], scenario: str) -> str:
    """Render the page from the results of `nayer.export.comparison`."""
    smaller = times(metrics["fp32"]["file_bytes"] / metrics["int8"]["file_bytes"])
    came_of_it = difference(metrics["loss_points"])
    return fill(
        "nayer.evaluation",
        "int8_report.html.j2",
        scenario=scenario,
        headline=f"{metrics['model'].capitalize()} in INT8, {smaller} smaller, {came_of_it}",
        difference=came_of_it,
        metrics=metrics,
        cost=cost,
        rows=list(rows(metrics, cost)),
    )
