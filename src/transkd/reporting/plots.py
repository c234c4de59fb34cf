"""The plots of a table: gains, learning curves, score against cost, and gains by class."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from transkd.reporting.build import Table
from transkd.reporting.columns import COSTS, READINGS, points, reading, signed
from transkd.reporting.drawing import (
    DARK,
    LIGHT,
    Theme,
    file_content,
    folded,
    label_points,
    line_count,
    method_styles,
    new_figure,
    shortened,
)
from transkd.reporting.rows import Row, Spread
from transkd.runs.finished import Run

CLASSES_WITH_NUMBERS, MOST_CLASSES = 40, 80
LETTERS_ACROSS = 48
LETTER_RISE = 0.037
"""Inches that a letter of a title takes upwards, at 30 degrees."""
MARKERS = {"teacher": "s", "plain": "o", "distilled": "D"}


@dataclass(frozen=True)
class Plot:
    """One plot.

    Attributes:
        name: of its files, without the ending.
        title: what it shows.
        svg, png: on white.
        dark: the SVG for dark screens.
    """

    name: str
    title: str
    svg: bytes
    png: bytes
    dark: bytes


def figures(table: Table, confidence: float) -> list[tuple[str, str, Callable[[Theme], Figure | None]]]:
    """Return name and title of each plot of a table, and what draws it; None where there are no numbers."""
    rows = table.rows
    return [
        ("gains", "Gain by method", lambda theme: gains_figure(rows, theme, confidence, table.baseline)),
        ("curves", "Learning curves, mean over seeds ± standard deviation", lambda theme: curves_figure(rows, theme)),
        ("miou-gmac", "Score against GMAC", lambda theme: cost_figure(rows, theme, "gmacs", "GMAC an image")),
        (
            "miou-latency",
            "Score against latency",
            lambda theme: cost_figure(rows, theme, "latency_ms", "latency an image, ms"),
        ),
        ("classes", "Gain by class", lambda theme: classes_figure(rows, theme)),
    ]


def table_plots(table: Table, confidence: float) -> list[Plot]:
    """Draw what a table has numbers for."""
    plots = []
    for name, title, draw in figures(table, confidence):
        light, dark = draw(LIGHT), draw(DARK)
        if light is not None and dark is not None:
            files = file_content(light, "svg"), file_content(light, "png"), file_content(dark, "svg")
            plots.append(Plot(name, title, *files))
    return plots


def gains_figure(rows: Sequence[Row], theme: Theme, confidence: float, baseline: str) -> Figure | None:
    """Draw each method's gain over a baseline, None where no method has one."""
    compared = sorted(((row, row.gain) for row in rows if row.gain), key=lambda both: both[1].mean)
    if not compared:
        return None
    colours = {"gain": theme.gain, "loss": theme.loss, "": theme.noise}
    names = [folded(row.method.title) for row, _ in compared]
    with new_figure(theme, 1.1 + (0.22 + 0.14 * line_count(names)) * len(compared)) as (figure, axes):
        axes.axvline(0, color=theme.muted, linewidth=1)
        for place, (row, gain) in enumerate(compared):
            emphasis = READINGS[gain.verdict][1]
            colour, filled = colours[emphasis], theme.paper
            if gain.low is not None and gain.high is not None:
                axes.plot([100 * gain.low, 100 * gain.high], [place, place], color=colour, linewidth=2.2, zorder=2)
                filled = colour
            axes.plot(100 * gain.mean, place, "o", markersize=7, color=colour, markerfacecolor=filled, zorder=3)
            axes.annotate(
                f"{points(gain.mean)}  {reading(row)}",
                (1.0, place),
                xycoords=("axes fraction", "data"),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                color=theme.ink if emphasis else theme.muted,
                annotation_clip=False,
            )
        axes.set_yticks(range(len(compared)), names, color=theme.ink)
        axes.set_ylim(-0.6, len(compared) - 0.4)
        axes.grid(axis="x", color=theme.grid, linewidth=0.8)
        axes.spines["left"].set_visible(False)
        axes.margins(x=0.08)
        axes.set_xlabel(f"gain in mIoU over {folded(baseline)}, points ({100 * confidence:g} % interval)")
    return figure


def mean_curve(runs: Sequence[Run]) -> list[tuple[int, Spread]]:
    """Return (steps, mIoU over seeds) at the validations that every run with a curve has."""
    curves = [dict(run.curve) for run in runs if run.curve]
    steps = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    return [(step, Spread.of([curve[step] for curve in curves])) for step in steps]


def curves_figure(rows: Sequence[Row], theme: Theme) -> Figure | None:
    """Draw a line for each method with a band of one standard deviation, None where no run has a curve."""
    curves = [mean_curve(row.method.runs) for row in rows]
    if not any(curves):
        return None
    styles = method_styles([row.method for row in rows], theme)
    ends = []
    with new_figure(theme, 3.8) as (figure, axes):
        for row, curve, (colour, line) in zip(rows, curves, styles, strict=True):
            if not curve:
                continue
            steps = [step for step, _ in curve]
            means = np.array([100 * miou.mean for _, miou in curve])
            stds = np.array([100 * (miou.std or 0.0) for _, miou in curve])
            marker = "o" if len(steps) < 30 else ""
            axes.plot(steps, means, color=colour, linestyle=line, marker=marker, markersize=3, linewidth=1.8)
            axes.fill_between(steps, means - stds, means + stds, color=colour, alpha=0.15, linewidth=0)
            ends.append((row.method.title, steps[-1], float(means[-1]), colour))
        axes.grid(axis="y", color=theme.grid, linewidth=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.set_xlim(left=0)
        axes.set_xlabel("optimiser steps")
        axes.set_ylabel("validation mIoU, %")
        label_points(axes, ends, theme)
    return figure


def cost_figure(rows: Sequence[Row], theme: Theme, key: str, axis: str) -> Figure | None:
    """Draw a point for each method with its deviation over seeds, None where no run has the cost."""
    cost = next(cost for cost in COSTS if cost.key == key)
    styles = method_styles([row.method for row in rows], theme)
    found = [(row, cost.value(row), colour) for row, (colour, _) in zip(rows, styles, strict=True)]
    known = [(row, value, colour) for row, value, colour in found if value is not None]
    if not known:
        return None
    with new_figure(theme, 3.4) as (figure, axes):
        for row, x, colour in known:
            axes.errorbar(
                x,
                100 * row.miou.mean,
                yerr=None if row.miou.std is None else 100 * row.miou.std,
                fmt=MARKERS[row.method.kind],
                markersize=5,
                color=colour,
                elinewidth=1.2,
                capsize=2,
            )
        axes.grid(color=theme.grid, linewidth=0.8)
        axes.set_xlim(0, 1.08 * max(x for _, x, _ in known) or 1.0)
        axes.margins(y=0.12)
        axes.set_xlabel(axis)
        axes.set_ylabel("mIoU, %")
        label_points(axes, [(row.method.title, x, 100 * row.miou.mean, colour) for row, x, colour in known], theme)
    return figure


def classes_figure(rows: Sequence[Row], theme: Theme) -> Figure | None:
    """Draw gains over the baseline as a heat map, classes down and methods across; None where there are none."""
    compared = [row for row in rows if any(gain is not None for gain in row.class_gains.values())]
    if not compared:
        return None
    every = list(dict.fromkeys(name for row in compared for name in row.class_gains))
    changes = {name: max(abs(row.class_gains.get(name) or 0.0) for row in compared) for name in every}
    most_changed = sorted(every, key=lambda name: -changes[name])[:MOST_CLASSES]
    names = [name for name in every if name in most_changed]
    gains = 100 * np.array([[row.class_gains.get(name) for row in compared] for name in names], dtype=float)
    titles = [shortened(row.method.title) for row in compared]
    limit = float(np.nanmax(np.abs(gains))) or 1.0
    colours = LinearSegmentedColormap.from_list("gains", [theme.loss, theme.paper, theme.gain])
    numbered = len(names) <= CLASSES_WITH_NUMBERS
    longest = max(map(len, titles))
    angle = 0 if longest * len(compared) < LETTERS_ACROSS else 30
    height = (0.27 if numbered else 0.14) * len(names) + (LETTER_RISE * longest if angle else 0.0)
    with new_figure(theme, 1.0 + height) as (figure, axes):
        picture = axes.imshow(gains, cmap=colours.with_extremes(bad=theme.grid), vmin=-limit, vmax=limit, aspect="auto")
        labels = [folded(name) for name in names]
        axes.set_yticks(range(len(names)), labels, color=theme.ink, fontsize=None if numbered else 6)
        align = "left" if angle else "center"
        axes.set_xticks(range(len(compared)), titles, color=theme.ink, rotation=angle, ha=align, rotation_mode="anchor")
        axes.xaxis.tick_top()
        if len(names) < len(every):
            axes.xaxis.set_label_position("bottom")
            axes.set_xlabel(f"the {len(names)} of {len(every)} classes that change most")
        for side in axes.spines.values():
            side.set_visible(False)
        for (y, x), gain in np.ndenumerate(gains) if numbered else ():
            text = "–" if math.isnan(gain) else signed(gain, 1)
            strong = not math.isnan(gain) and abs(gain) > 0.6 * limit
            axes.text(x, y, text, ha="center", va="center", color=theme.paper if strong else theme.ink, fontsize=8)
        bar = figure.colorbar(picture, ax=axes, fraction=0.03, pad=0.02)
        bar.outline.set_visible(False)
        bar.ax.tick_params(colors=theme.muted, length=0)
        bar.set_label("gain in IoU, points", color=theme.muted)
    return figure
