"""Figures of the report, on white and in Okabe and Ito's colours, which colour-blind readers can tell apart, too."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from nayer.core.formats import MINUS
from nayer.evaluation.lettering import families, written

BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#5b6470"
STYLE: Any = {  # Any, as the type of the keys differs between versions of matplotlib
    "font.family": families(),
    "font.size": 10,
    "axes.edgecolor": "#9ca3af",
    "axes.labelcolor": GREY,
    "axes.titlelocation": "left",
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlepad": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e5e7eb",
    "lines.linewidth": 1.9,
    "lines.markersize": 4.5,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.frameon": False,
    "legend.fontsize": 9,
}
MAX_NAMES = 40
MAX_ROWS = 20
ROWS_PER_COLUMN = 10
MAX_VALUES = 12
FEW_EPOCHS = 25
# A logarithmic axis ends at this share of its largest value; what lies below says nothing to a reader.
MIN_SHARE = 1e-5
# Label of a line that needs none: matplotlib leaves labels with an underscore out of the legend.
ALONE = "_alone"

Matrix = npt.NDArray[np.float64]


@mpl.rc_context(STYLE)
def training_curves(
    teacher_history: pd.DataFrame, distill_history: pd.DataFrame, loss_names: Mapping[str, str]
) -> Figure:
    """Curves by epoch: the teacher's accuracy, the student's agreement, synthesis and distillation losses.

    `teacher_history` has epoch, train_accuracy and validation_accuracy (0..1). `distill_history` has epoch, phase
    ("warm-up", "distillation" or "closing"), the method's loss terms, which are NaN in closing epochs, and kd_loss and
    agreement, which are NaN in the warm-up. `loss_names` maps the column of each term to its label.
    """
    figure = Figure(figsize=(10.4, 6.4), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
    (teacher, agreement), (synthesis, distillation) = figure.subplots(2, 2)
    warmup = distill_history[distill_history["phase"] == "warm-up"]
    learning = distill_history[distill_history["phase"] != "warm-up"]
    if teacher_history.empty:
        teacher.text(0.5, 0.5, "not trained here", ha="center", va="center", transform=teacher.transAxes, color=GREY)
    else:
        for column, label, color in (("train_accuracy", "training", GREY), ("validation_accuracy", "validation", BLUE)):
            _line(teacher, teacher_history["epoch"], 100 * teacher_history[column], label, color)
    _finish(teacher, "Teacher: accuracy, %")
    _line(agreement, learning["epoch"], 100 * learning["agreement"], ALONE, BLUE)
    _finish(agreement, "Student: agreement on synthetic images, %", warmup)
    for (column, label), color in zip(loss_names.items(), cycle((BLUE, ORANGE, GREEN, PURPLE))):
        values = distill_history[column]
        # A logarithmic axis has no negative numbers: a term that the method wants large is drawn with its sign turned.
        turned = bool((values.dropna() <= 0).all()) and bool((values < 0).any())
        _line(synthesis, distill_history["epoch"], -values if turned else values, MINUS * turned + label, color)
    _logarithmic(synthesis)
    _finish(synthesis, "Synthesis: loss terms, unweighted", warmup)
    _line(distillation, learning["epoch"], learning["kd_loss"], ALONE, BLUE)
    _logarithmic(distillation)
    _finish(distillation, "Student: distillation loss", warmup)
    return figure


def _line(axes: Axes, epochs: pd.Series, values: pd.Series, label: str, color: str) -> None:
    # A line of a single epoch, or of one between gaps, is invisible without markers.
    marker = "o" if len(epochs) <= FEW_EPOCHS else ""
    axes.plot(epochs.to_numpy(float), values.to_numpy(float), color=color, label=label, marker=marker)


def _logarithmic(axes: Axes) -> None:
    """Make the axis logarithmic if it has anything to show; values of 0, those of unused terms, are left out."""
    for line in axes.lines:
        values = np.asarray(line.get_ydata(), dtype=float)
        line.set_ydata(np.where(values > 0, values, np.nan))
    shown = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines])
    shown = shown[np.isfinite(shown)]
    if len(shown):
        axes.set_yscale("log")
        least, most = max(float(shown.min()), float(shown.max()) * MIN_SHARE) / 1.5, 1.5 * float(shown.max())
        # Some space at the top for the legend.
        axes.set_ylim(least, most * (most / least) ** 0.3)


def _finish(axes: Axes, title: str, warmup: pd.DataFrame | None = None) -> None:
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10]))
    axes.grid(visible=True, axis="y")
    axes.set_axisbelow(True)
    if warmup is not None and len(warmup):
        first, last = float(warmup["epoch"].min()), float(warmup["epoch"].max())
        axes.axvspan(first - 0.5, last + 0.5, color=GREY, alpha=0.12, lw=0, label="warm-up, memory only")
    if axes.get_legend_handles_labels()[0]:
        axes.legend()


@mpl.rc_context(STYLE)
def synthetic_images(images: Tensor, labels: Tensor, class_names: Sequence[str], per_class: int = 8) -> Figure:
    """The first `per_class` uint8 images (N, C, H, W) of each class, one row per class, for at most 20 classes.

    Classes without an image are left out.
    """
    names = written(class_names)
    present = [label for label in range(len(class_names)) if bool((labels == label).any())][:MAX_ROWS]
    columns = [present[start : start + ROWS_PER_COLUMN] for start in range(0, len(present), ROWS_PER_COLUMN)] or [[]]
    rows = max(1, len(columns[0]))
    width = 7.6 if len(columns) == 1 else 12.0
    height = rows * (width / len(columns) - 1.2) / per_class
    figure = Figure(figsize=(width, height + 0.2), layout="constrained")
    for axes, members in zip(figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True):
        grid, pitch = _grid(images, labels, members, rows, per_class)
        axes.imshow(grid, interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([(row + 0.5) * pitch for row in range(len(members))])
        axes.set_yticklabels([names[label] for label in members], parse_math=False, color="#111827")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return figure


def _grid(
    images: Tensor, labels: Tensor, members: Sequence[int], rows: int, per_class: int
) -> tuple[npt.NDArray[np.uint8], int]:
    """Images of the classes `members` on one white sheet (height, width, 3), and the height of one row in pixels."""
    height, width = images.shape[2:]
    gap = max(1, height // 14)
    sheet = np.full((rows * (height + gap), per_class * (width + gap), 3), 255, np.uint8)
    for row, label in enumerate(members):
        for column, image in enumerate(images[labels == label][:per_class]):
            pixels = image[:1].expand(3, -1, -1) if len(image) < 3 else image[:3]
            top, left = row * (height + gap), column * (width + gap)
            sheet[top : top + height, left : left + width] = pixels.permute(1, 2, 0).cpu().numpy()
    return sheet, height + gap


@mpl.rc_context(STYLE)
def embedding_similarity(table: Tensor, class_names: Sequence[str]) -> Figure:
    """Cosine similarity of the label embeddings (classes, dim); class names stand on the axes for up to 40 classes."""
    rows = torch.nn.functional.normalize(table.detach().double().cpu(), dim=1)
    values: Matrix = (rows @ rows.T).numpy()
    texts = [[f"{value:.2f}".replace("0.", ".") for value in row] for row in values[:MAX_VALUES, :MAX_VALUES]]
    scale = Normalize(min(0.0, float(values.min())), 1)
    return _matrix(values, texts, class_names, "cosine similarity", scale)


@mpl.rc_context(STYLE)
def confusion(counts: pd.DataFrame, rows: str = "true class") -> Figure:
    """Confusion matrix of `rows` against the student's class (columns): shares of the row as colour, counts as text."""
    values: Matrix = counts.to_numpy(dtype=float)
    shares = values / np.maximum(values.sum(1, keepdims=True), 1)
    texts = [[f"{value:.0f}" if value else "" for value in row] for row in values[:MAX_VALUES, :MAX_VALUES]]
    # Square-root colour scale, so that rare mistakes, which one looks for, stand out from the white.
    names = [str(name) for name in counts.columns]
    figure = _matrix(shares, texts, names, "share of the row", PowerNorm(0.5, 0, 1))
    figure.axes[0].set_xlabel("student's answer")
    figure.axes[0].set_ylabel(rows)
    return figure


def _matrix(
    values: Matrix, texts: Sequence[Sequence[str]], class_names: Sequence[str], label: str, scale: Normalize
) -> Figure:
    """Figure of a square matrix; the texts stand on its fields if there are at most MAX_VALUES classes."""
    count = len(class_names)
    side = min(8.0, 3.4 + 0.27 * count)
    figure = Figure(figsize=(side + 0.7, side), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(values, cmap="Blues", norm=scale, interpolation="nearest")
    bar = figure.colorbar(shown, ax=axes, label=label, shrink=0.75, pad=0.02, aspect=28)
    bar.outline.set_visible(False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("class")
    if count > MAX_NAMES:
        return figure
    names = written(class_names)
    size = 9.5 if count <= MAX_VALUES else 7.5
    upright = count * max(map(len, names)) > 36
    axes.set_xticks(range(count), names, rotation=90 if upright else 0, parse_math=False, fontsize=size)
    axes.set_yticks(range(count), names, parse_math=False, fontsize=size)
    axes.set_xlabel("")
    if count <= MAX_VALUES:
        for (row, column), value in np.ndenumerate(values):
            color = "white" if scale(value) > 0.6 else "#111827"
            axes.text(column, row, texts[row][column], ha="center", va="center", fontsize=8, color=color)
    return figure
