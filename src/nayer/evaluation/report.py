"""The report: one self-contained HTML file, without scripts, network requests or other files."""

import base64
import io
import math
from collections.abc import Iterator, Mapping
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from nayer.core.formats import SPACE, compact, count, decimal, duration, percent, points, times
from nayer.core.nested import flatten
from nayer.evaluation.templates import fill
from nayer.synthesis.method import Method

BASELINES = {
    "real": ("Ceiling: trained on the real labels", "the same student and number of steps, with all the training data"),
    "kd_real": ("Distilled on the real images", "what the teacher could pass on if its data were at hand"),
    "kd_noise": ("Floor: distilled on uniform noise", "what the teacher passes on when images mean nothing"),
}
CAPTIONS = {
    "training_curves": "How teacher and student learnt, epoch by epoch. The student never saw a real image.",
    "synthetic_images": "The newest synthetic images, by class (20 at most). They teach; they need not look real.",
    "embedding_similarity": "How near the class names are to each other in the table that steers the generator.",
    "confusion_matrix": "Where the student goes astray: the darker, the larger the share of the row.",
}
PROVENANCE = {"teacher": "digest of the teacher", "label_embeddings": "digest of the embeddings"}
LATENCIES = {"latency_ms_batch_1": "batch of 1", "latency_ms_batch_64": "batch of 64"}
DPI = 144
# Without dates, versions and random ids, the same figure gives the same bytes.
SAVING: dict[str, dict[str, Any]] = {
    "svg": {"metadata": {"Date": None}},
    "png": {"metadata": {"Software": None}},
    "jpeg": {"pil_kwargs": {"quality": 88}},
}
# Largest PNG in the page; larger, noisy pictures become JPEG, so that the page stays below 2 MB.
MAX_PNG_BYTES = 500_000


def render(
    method: type[Method[Any]],
    metrics: Mapping[str, Any],
    cost: Mapping[str, Any],
    per_class: pd.DataFrame,
    baselines: Mapping[str, float] | None,
    figures: Mapping[str, Figure],
    parameters: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> str:
    """Render the report as HTML; text from outside is escaped, and equal input gives an equal page.

    `metrics` and `per_class` come from `metrics.compare` or `metrics.compare_unlabelled`, `cost` from `cost.cost`;
    `baselines` are top-1 accuracies (0..1) by name (see `BASELINES`). Figures that are not in `CAPTIONS` come last,
    captioned with their own name.
    """
    classes = class_rows(per_class)
    labelled = "student" in metrics
    return fill(
        "nayer.evaluation",
        "report.html.j2",
        scenario=parameters["scenario"],
        method=method,
        names={model: display_name(cost[model]["architecture"]) for model in ("teacher", "student")},
        headline=headline(metrics, cost),
        tiles=tiles(metrics, cost),
        metrics=metrics,
        labelled=labelled,
        interval=interval(metrics["student"]["top1"], metrics["test_images"]) if labelled else None,
        ladder=ladder(metrics, baselines or {}),
        classes=classes,
        hardest=hardest(classes),
        cost=cost,
        machine=[(key.replace("_", " "), "none" if value is None else value) for key, value in cost["machine"].items()],
        latencies=LATENCIES,
        making=list(spent(cost)),
        figures=pictures(figures),
        parameters=[(key, "null" if value is None else value) for key, value in flatten(parameters).items()],
        provenance=[(PROVENANCE.get(key, key), value) for key, value in flatten(provenance).items()],
    )


def headline(metrics: Mapping[str, Any], cost: Mapping[str, Any]) -> str:
    """Summary of the run in one line."""
    ratio = cost["ratio"]["parameters"]
    size = f"{times(max(ratio, 1 / ratio))} {'smaller' if ratio > 1 else 'larger'}"
    if math.isclose(ratio, 1, rel_tol=0.04):
        size = "as large as its teacher"
    keeps = f"agrees with its teacher on {100 * metrics['agreement']:.1f}{SPACE}% of synthetic images"
    if "student" in metrics:
        keeps = f"keeps {100 * metrics['retention']:.1f}{SPACE}% of its teacher's accuracy"
    return f"{display_name(cost['student']['architecture'])} student, {size}, {keeps}"


def display_name(architecture: str) -> str:
    """Name of an architecture as papers write it."""
    if ":" in architecture:  # torchvision:NAME, half:NAME, a user's own, ...
        return architecture.partition("{")[0]
    family, *rest = architecture.split("-")
    return "-".join([{"resnet": "ResNet"}.get(family, family.upper()), *(part.upper() for part in rest)])


def tiles(metrics: Mapping[str, Any], cost: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The key figures, each as its value, its label and an explanation."""
    teacher, student, ratio = cost["teacher"], cost["student"], cost["ratio"]
    rows = [(percent(metrics["agreement"]), "agreement", "same answer as the teacher")]
    if "student" in metrics:
        lost = points(metrics["student"]["top1"] - metrics["teacher"]["top1"])
        images = f"{count(metrics['test_images'])} real test images"
        rows = [
            (percent(metrics["student"]["top1"]), "student, top-1", f"{lost} points against its teacher"),
            (percent(metrics["teacher"]["top1"]), "teacher, top-1", images),
            *rows,
        ]
    for key, thing, unit in (
        ("parameters", "parameters", ""),
        ("macs", "multiply-adds", ""),
        ("latency_ms_batch_1", "time for one image", f"{SPACE}ms"),
    ):
        factor = max(ratio[key], 1 / ratio[key])
        figures = [decimal(model[key]) if unit else compact(model[key]) for model in (student, teacher)]
        less = "less" if unit else "fewer"
        label = f"{less if ratio[key] >= 1 else 'more'} {thing}"
        rows.append((times(factor), label, f"{figures[0]} instead of {figures[1]}{unit}"))
    return rows


def ladder(metrics: Mapping[str, Any], baselines: Mapping[str, float]) -> list[dict[str, Any]]:
    """Teacher, student and baselines by descending top-1 accuracy; empty without baselines."""
    if not baselines:
        return []
    rows = [
        {"name": "Teacher", "why": "on its real data", "top1": metrics["teacher"]["top1"]},
        {"name": "Student without data", "why": "this run", "top1": metrics["student"]["top1"]},
        *(
            {"name": name, "why": why, "top1": baselines[key]}
            for key in baselines
            for name, why in [BASELINES.get(key, (key, "baseline"))]
        ),
    ]
    return sorted(rows, key=lambda row: -row["top1"])


def class_rows(per_class: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of the per-class table; `change`, student minus teacher, is None without labels or images of the class."""
    rows = []
    for index, record in enumerate(per_class.to_dict("records")):
        row = {str(key): value for key, value in record.items()}
        # A name such as "null" is read from a file as a missing value.
        name = f"class {index}" if pd.isna(row["class"]) else str(row["class"])
        known = row["images"] and "student_accuracy" in row
        change = row["student_accuracy"] - row["teacher_accuracy"] if known else None
        rows.append({**row, "class": name, "change": change})
    return rows


def hardest(classes: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Row of the class on which the student falls furthest behind its teacher; None if there is no such class."""
    behind = [row for row in classes if row["change"] is not None and row["change"] < 0]
    return min(behind, key=lambda row: row["change"], default=None)


def interval(share: float, images: int) -> tuple[float, float]:
    """95 % confidence interval (Wilson score) of a share that was counted on so many images."""
    found = stats.binomtest(round(share * images), images).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def spent(cost: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Costs of training and distillation as label and text, as far as they were recorded."""
    for stage, title in (("teacher_training", "Teacher"), ("distillation", "Distillation")):
        for key, value in flatten(cost[stage]).items():
            if isinstance(value, str):  # a digest
                continue
            name = key.replace("seconds_by_phase.", "of that, ").replace("seconds", "time").replace("_", " ")
            written = duration(value) if "seconds" in key else count(value)
            yield f"{title}: {name.replace('.', ', ')}", written


def pictures(figures: Mapping[str, Figure]) -> dict[str, dict[str, Any]]:
    """Source, caption and width in CSS pixels of each figure."""
    names = [*(name for name in CAPTIONS if name in figures), *(name for name in figures if name not in CAPTIONS)]
    return {
        name: {
            "source": as_data_uri(figures[name]),
            "caption": CAPTIONS.get(name, name),
            "width": round(96 * figures[name].get_figwidth()),
        }
        for name in names
    }


def as_data_uri(figure: Figure) -> str:
    """A figure as a data URI: line drawings as SVG, pictures as PNG or, if that is too large, as JPEG."""
    if not any(axes.images for axes in figure.axes):
        return _data_uri(_drawn(figure, "svg"), "svg+xml")
    picture = _drawn(figure, "png")
    if len(picture) <= MAX_PNG_BYTES:
        return _data_uri(picture, "png")
    return _data_uri(_drawn(figure, "jpeg"), "jpeg")


def _drawn(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "nayer"}):
        figure.savefig(buffer, format=kind, dpi=DPI, facecolor="white", **SAVING[kind])
    return buffer.getvalue()


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
