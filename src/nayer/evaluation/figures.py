"""The figures of the report."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

# Okabe and Ito's colours, told apart by everyone.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#6b7280"
MOST_NAMES = 40
MOST_ROWS = 20


def training_curves(teacher: pd.DataFrame, distillation: pd.DataFrame) -> Figure:
    """Teacher's accuracy, synthesis losses, and the student's agreement with its teacher, by epoch."""
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.plot(teacher["epoch"], 100 * teacher["train_accuracy"], color=GREY, label="training batches")
    left.plot(teacher["epoch"], 100 * teacher["validation_accuracy"], color=BLUE, label="validation")
    _finish(left, "Teacher", "accuracy, %")
    for name, label, color in (("ce", "class", BLUE), ("bn", "BatchNorm", ORANGE)):
        middle.plot(distillation["epoch"], distillation[name], color=color, label=label)
    middle.plot(distillation["epoch"], -distillation["adversarial"], color=GREEN, label="-adversarial")
    middle.set_yscale("symlog", linthresh=0.1)
    _finish(middle, "Synthesis: loss terms", "loss, unweighted")
    learning = distillation.dropna(subset="agreement")
    right.plot(learning["epoch"], 100 * learning["agreement"].astype(float), color=BLUE, label="agreement")
    _finish(right, "Student on synthetic images", "same class as teacher, %")
    warmup = int((distillation["phase"] == "warm-up").sum())
    if warmup:
        for axes in (middle, right):
            axes.axvspan(distillation["epoch"].min(), warmup + 0.5, color=GREY, alpha=0.12, lw=0)
        middle.text(0.02, 0.03, "grey: warm-up", transform=middle.transAxes, color=GREY, fontsize=8)
    return figure


def _finish(axes: Axes, title: str, ylabel: str) -> None:
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xlabel("epoch")
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)


def synthetic_images(images: Tensor, labels: Tensor, class_names: Sequence[str], per_class: int = 10) -> Figure:
    """The newest uint8 images (N, C, H, W) of the memory, one row per class (the first 20 classes)."""
    present = [label for label in range(len(class_names)) if bool((labels == label).any())][:MOST_ROWS]
    _, channels, height, width = images.shape
    gap = max(1, height // 14)
    grid = np.full((len(present) * (height + gap), per_class * (width + gap), 3), 255, np.uint8)
    for row, label in enumerate(present):
        for column, image in enumerate(images[labels == label][:per_class]):
            pixels = image.expand(3, -1, -1) if channels == 1 else image[:3]
            top, left = row * (height + gap), column * (width + gap)
            grid[top : top + height, left : left + width] = pixels.permute(1, 2, 0).numpy()
    figure = Figure(figsize=(7, max(1.2, 7 * grid.shape[0] / grid.shape[1])), layout="constrained")
    axes = figure.subplots()
    axes.imshow(grid, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([(row + 0.5) * (height + gap) for row in range(len(present))])
    axes.set_yticklabels([plain(class_names[label]) for label in present], fontsize=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def embedding_similarity(table: Tensor, class_names: Sequence[str]) -> Figure:
    """Cosine similarity of the label-text embeddings (classes x dim)."""
    rows = torch.nn.functional.normalize(table.float(), dim=1)
    return _matrix((rows @ rows.T).numpy(), class_names, "cosine similarity", 0.0)


def confusion(counts: pd.DataFrame) -> Figure:
    """True class (rows) against the student's class (columns), as a share of the row."""
    values = counts.to_numpy(dtype=float)
    shares = values / np.maximum(values.sum(1, keepdims=True), 1)
    figure = _matrix(shares, [str(name) for name in counts.index], "share of the true class", 0.0)
    figure.axes[0].set_xlabel("student says")
    figure.axes[0].set_ylabel("true class")
    return figure


def _matrix(values: np.ndarray, class_names: Sequence[str], label: str, least: float) -> Figure:
    count = len(class_names)
    side = min(9.0, 3.2 + 0.28 * count)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(values, cmap="Blues", vmin=min(least, float(values.min())), vmax=1)
    figure.colorbar(shown, ax=axes, label=label, shrink=0.8)
    if count <= MOST_NAMES:
        names = [plain(name) for name in class_names]
        axes.set_xticks(range(count), names, rotation=90 if count > 12 else 45, ha="center" if count > 12 else "right")
        axes.set_yticks(range(count), names)
        axes.tick_params(labelsize=9 if count <= 20 else 7)
    if count <= 12:
        for row in range(count):
            for column in range(count):
                value = values[row, column]
                if not math.isclose(value, 0, abs_tol=5e-4):
                    color = "white" if value > 0.6 else "black"
                    axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=color)
    return figure


def plain(name: str) -> str:
    """A class name without matplotlib's math marks."""
    return name.replace("$", r"\$")
