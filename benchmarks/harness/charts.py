"""The figures of a study's page."""

from collections.abc import Collection, Mapping, Sequence
from math import ceil
from pathlib import Path
from textwrap import fill

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

from harness.table import END
from nayer.evaluation.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, STYLE

COLORS = (BLUE, ORANGE, GREEN, PURPLE, "#E69F00", "#56B4E9", "#8C510A", "#000000", "#999900")
DASHES = (":", "--", "-.")
# Percentage points that an axis of accuracies spans at least.
LEAST_POINTS = 3


@mpl.rc_context(STYLE)
def accuracy_by_minutes(
    rows: pd.DataFrame, groups: Mapping[str, str], curves: Mapping[str, str], levels: Mapping[str, str]
) -> Figure:
    """Accuracy on validation images against minutes (logarithmic), a panel for each group; the band spans all seeds.

    Every mapping goes from names in the table to labels in the figure: `groups`, `curves` (settings with a curve) and
    `levels` (baselines, whose accuracy on test images is a line across the panel).
    """
    figure, panels = minute_panels(groups.values())
    for panel, group in zip(panels, groups, strict=True):
        chosen = rows[rows["group"] == group]
        chosen = chosen[chosen["minutes"] == chosen["minutes"].max()]
        for color, (setting, label) in zip(COLORS[: len(curves)], curves.items(), strict=True):
            draw_curve(panel, chosen[(chosen["setting"] == setting) & chosen["epoch"].notna()], color, label)
        draw_levels(panel, chosen, levels)
    return figure


@mpl.rc_context(STYLE)
def ends_by_minutes(
    ends: pd.DataFrame, panels: Mapping[str, Sequence[str]], settings: Mapping[str, str], levels: Mapping[str, str]
) -> Figure:
    """Accuracy at the last epoch against the minutes given (logarithmic), with the deviation over seeds.

    `panels` maps each title to its groups in the table; `settings` and `levels` are as in `accuracy_by_minutes`.
    """
    figure, axes = minute_panels(panels)
    for panel, groups in zip(axes, panels.values(), strict=True):
        chosen = ends[ends["group"].isin(groups)]
        for color, (setting, label) in zip(COLORS, settings.items(), strict=False):
            found = chosen[chosen["setting"] == setting].astype({END: float}).groupby("minutes")[END]
            mean, spread = 100 * found.mean(), 100 * found.std().fillna(0.0)
            panel.errorbar(mean.index, mean, spread, color=color, marker="o", ms=4, capsize=3, label=label)
        draw_levels(panel, chosen, levels)
    return figure


def minute_panels(titles: Collection[str]) -> tuple[Figure, list[Axes]]:
    """Figure with a panel for each title, one below the other."""
    figure = Figure(figsize=(8.4, 3.9 * len(titles)), layout="constrained")
    panels: list[Axes] = list(figure.subplots(len(titles), 1, squeeze=False)[:, 0])
    for panel, title in zip(panels, titles, strict=True):
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_xlabel("minutes of synthesis and student steps")
        panel.set_ylabel("accuracy, %")
        panel.set_title(title)
        panel.grid(visible=True, axis="y")
    return figure, panels


def draw_levels(panel: Axes, chosen: pd.DataFrame, levels: Mapping[str, str]) -> None:
    """Draw a line across the panel for each baseline that was run, and the legend."""
    for dash, (setting, label) in zip(DASHES, levels.items(), strict=False):
        found = 100 * chosen[chosen["setting"] == setting][END].astype(float).mean()
        if pd.notna(found):
            panel.axhline(found, color=GREY, lw=1.2, ls=dash, label=f"{label}: {found:.1f}")
    panel.legend(loc="center left", bbox_to_anchor=(1, 0.5))


def draw_curve(panel: Axes, part: pd.DataFrame, color: str, label: str) -> None:
    """Draw the mean over a setting's seeds and a band from lowest to highest; nothing if nothing was run."""
    if part.empty:
        return
    by_epoch = part.groupby("epoch")
    minutes, accuracy = by_epoch["counted_seconds"].mean() / 60, by_epoch["validation_accuracy_2000"]
    one = ", one seed" * (part["seed"].nunique() == 1)
    panel.plot(minutes, 100 * accuracy.mean(), color=color, label=label + one)
    panel.fill_between(minutes, 100 * accuracy.min(), 100 * accuracy.max(), color=color, alpha=0.15, lw=0)


@mpl.rc_context(STYLE)
def dots(found: Mapping[str, pd.Series], title: str, axis: str, base: str) -> Figure:
    """Mean and deviation of each setting that has run, every seed as a small dot; a vertical line marks `base`."""
    shown = [(name, values) for name, values in found.items() if len(values)]
    figure = Figure(figsize=(8.4, 1.2 + 0.34 * len(shown)), layout="constrained")
    axes = figure.subplots()
    for place, (name, values) in enumerate(reversed(shown)):
        color, mean = BLUE if name == base else GREY, float(values.mean())
        spread = float(values.std()) if len(values) > 1 else 0.0
        axes.errorbar(mean, place, xerr=spread, color=color, marker="o", ms=7, capsize=3, lw=1.2)
        axes.plot(values, np.full(len(values), place), "o", color="#111827", ms=2.5)
        label = axes.annotate(
            f"{mean:.2f}", (float(values.max()), place), (8, 0), textcoords="offset points", va="center"
        )
        label.set_bbox({"fc": "white", "ec": "none", "pad": 1})
        if name == base:
            axes.axvline(mean, color=color, lw=1, ls=":")
    some = any(len(values) > 1 for _, values in shown)
    names = [name + ", one seed" * (some and len(values) == 1) for name, values in reversed(shown)]
    axes.set_yticks(range(len(shown)), [fill(name, 52) for name in names])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    # At least this span, so that small differences do not look large.
    middle = sum(axes.get_xlim()) / 2
    axes.update_datalim([(middle - LEAST_POINTS / 2, 0), (middle + LEAST_POINTS / 2, 0)], updatey=False)
    axes.margins(x=0.14)
    axes.autoscale_view(scaley=False)
    axes.set_xlabel(axis)
    axes.grid(visible=True)
    axes.set_axisbelow(True)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return figure


@mpl.rc_context(STYLE)
def losses_by_images(models: Mapping[str, pd.DataFrame], sources: Mapping[str, str], limit: float) -> Figure:
    """Points of accuracy that INT8 loses against the number of images it was calibrated on, a panel for each model.

    `models` has rows with source, asked (how many images) and lost_top1; `sources` maps each source to its label. The
    axis is linear below `limit`, which a line marks, and logarithmic above. Bars are the deviation over seeds.
    """
    lines = ceil(len(models) / 2)
    figure = Figure(figsize=(8.4, 2.3 * lines + 0.6), layout="constrained")
    panels = figure.subplots(lines, 2, squeeze=False, sharex=True, sharey=True)
    for panel in panels.flat[len(models) :]:
        panel.set_visible(False)
    for panel, (name, rows) in zip(panels.flat, models.items(), strict=False):
        panel.axhline(limit, color=GREY, lw=1.2, ls=":", label=f"goal: at most {limit:g}")
        for shift, color, (source, label) in zip((0.94, 1.0, 1.06), COLORS, sources.items(), strict=False):
            lost = rows[rows["source"] == source].groupby("asked")["lost_top1"]
            mean, spread = lost.mean(), lost.std().fillna(0.0)
            panel.errorbar(mean.index * shift, mean, spread, color=color, marker="o", ms=4, capsize=3, label=label)
        # Losses lie near 0, except for noise images.
        panel.set_yscale("symlog", linthresh=limit, linscale=1)
        panel.set_yticks([-limit, 0, limit, 2, 8])
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_locator(NullLocator())
        panel.set_xscale("log", base=2)
        panel.set_xticks(sorted(rows["asked"].unique()))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_title(fill(f"{name}, n = {rows['run'].nunique()}", 56), fontsize=9)
        panel.grid(visible=True, axis="y")
    figure.supxlabel("calibration images", color=GREY, fontsize=10)
    figure.supylabel("points of accuracy lost", color=GREY, fontsize=10)
    handles = panels.flat[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=4)
    return figure


@mpl.rc_context(STYLE)
def sheet(strips: Sequence[tuple[str, Path]]) -> Figure:
    """One row of images per method, the same classes in the same places, from the files of their strips."""
    figure = Figure(figsize=(8.4, 0.86 * len(strips)), layout="constrained")
    for axes, (name, file) in zip(figure.subplots(len(strips), 1, squeeze=False)[:, 0], strips, strict=True):
        axes.imshow(mpl.image.imread(file), interpolation="nearest", aspect="equal")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_ylabel(name, rotation=0, ha="right", va="center", color="#111827")
        axes.spines[:].set_visible(False)
    return figure
