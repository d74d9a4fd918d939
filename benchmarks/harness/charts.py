"""The figures of a study's page."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from harness.table import END
from nayer.evaluation.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, STYLE
from nayer.synthesis.sample import SyntheticSample

COLORS = (BLUE, ORANGE, GREEN, PURPLE, "#E69F00", "#56B4E9", "#F0E442", "#000000")
SHEET_COLUMNS = 10


@mpl.rc_context(STYLE)
def accuracy_by_minutes(rows: pd.DataFrame, groups: Sequence[str], settings: Sequence[str]) -> Figure:
    """Accuracy on validation images against minutes (logarithmic), a panel for each group; the band spans all seeds."""
    figure = Figure(figsize=(5.2 * len(groups), 4.2), layout="constrained")
    panels = figure.subplots(1, len(groups), squeeze=False, sharey=False)[0]
    for panel, group in zip(panels, groups, strict=True):
        chosen = rows[(rows["group"] == group) & rows["epoch"].notna()]
        longest = chosen["minutes"].max()
        chosen = chosen[chosen["minutes"] == longest]
        for color, setting in zip(COLORS, settings, strict=False):
            part = chosen[chosen["setting"] == setting]
            if part.empty:
                continue
            by_epoch = part.assign(spent=part["counted_seconds"] / 60).groupby("epoch")
            spent, accuracy = by_epoch["spent"].mean(), 100 * by_epoch["validation_accuracy_2000"].mean()
            low, high = (100 * getattr(by_epoch["validation_accuracy_2000"], name)() for name in ("min", "max"))
            panel.plot(spent, accuracy, color=color, label=setting)
            panel.fill_between(spent, low, high, color=color, alpha=0.15, lw=0)
        panel.set_xscale("log")
        panel.set_xlabel("minutes of synthesis and student steps")
        panel.set_title(f"{group}: validation accuracy, %")
        panel.grid(visible=True, axis="y")
        panel.legend(loc="upper left")
    return figure


@mpl.rc_context(STYLE)
def bars(ends: pd.DataFrame, group: str, settings: Sequence[str], title: str) -> Figure:
    """Accuracy in % by setting, with deviation and every seed as a dot."""
    found = [100 * ends[(ends["group"] == group) & (ends["setting"] == each)][END].astype(float) for each in settings]
    shown = [(name, values) for name, values in zip(settings, found, strict=True) if len(values)]
    figure = Figure(figsize=(8.4, 0.9 + 0.36 * len(shown)), layout="constrained")
    axes = figure.subplots()
    for place, (name, values) in enumerate(reversed(shown)):
        color = BLUE if name == settings[0] else GREY
        spread = float(values.std()) if len(values) > 1 else 0.0
        axes.barh(place, values.mean(), xerr=spread, color=color, alpha=0.75, height=0.62, error_kw={"lw": 1.2})
        axes.plot(values, np.full(len(values), place), "o", color="#111827", ms=3)
        axes.text(float(values.max()) + 0.6, place, f"{values.mean():.2f}", va="center", fontsize=9)
    axes.set_yticks(range(len(shown)), [name for name, _ in reversed(shown)])
    if shown:
        least = min(float(values.min()) for _, values in shown)
        axes.set_xlim(max(0.0, least - 8), None)
    axes.set_title(title)
    axes.grid(visible=True, axis="x")
    axes.set_axisbelow(True)
    return figure


def strip(sample: SyntheticSample) -> Tensor:
    """(H, W, 3) uint8: an image of each of the first classes, side by side."""
    first = [int((sample.labels == label).nonzero()[0]) for label in sample.labels.unique()[:SHEET_COLUMNS]]
    row = F.pad(sample.images[torch.tensor(first)], (1, 1, 0, 0), value=255).permute(2, 0, 3, 1).flatten(1, 2)
    return row.expand(-1, -1, 3)


@mpl.rc_context(STYLE)
def sheet(strips: Sequence[tuple[str, Path]]) -> Figure:
    """One row a method, the same classes in the same places, from the files of their strips."""
    figure = Figure(figsize=(8.4, 0.86 * len(strips)), layout="constrained")
    for axes, (name, file) in zip(figure.subplots(len(strips), 1, squeeze=False)[:, 0], strips, strict=True):
        axes.imshow(mpl.image.imread(file), interpolation="nearest", aspect="equal")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_ylabel(name, rotation=0, ha="right", va="center", color="#111827")
        axes.spines[:].set_visible(False)
    return figure
