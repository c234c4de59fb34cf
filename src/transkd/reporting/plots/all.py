"""Every plot of a table, as files and in both looks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from transkd.reporting.build import Table
from transkd.reporting.cells import points, reading, signed
from transkd.reporting.plots.look import (
    DARK,
    LIGHT,
    Look,
    label,
    label_points,
    line,
    most_lines,
    new_figure,
    styles,
    written,
)
from transkd.reporting.rows import Row, Spread
from transkd.runs.finished import Run

MOST_CLASSES_WITH_NUMBERS = 40
MOST_CLASSES = 80
LETTERS_ACROSS = 48
LETTER_RISES = 0.037
"""Inches that a letter of a title takes upwards, at 30 degrees."""


def classes_figure(rows: Sequence[Row], look: Look) -> Figure | None:
    """Draw gains over the baseline as a heat map, classes down and methods across; None where there are none."""
    compared = [row for row in rows if any(gain is not None for gain in row.class_gains.values())]
    if not compared:
        return None
    every = list(dict.fromkeys(name for row in compared for name in row.class_gains))
    names = _most_changed(every, compared)
    gains = np.array([[_points(row.class_gains.get(name)) for row in compared] for name in names])
    titles = [line(row.method.title) for row in compared]
    limit = float(np.nanmax(np.abs(gains))) or 1.0
    colours = LinearSegmentedColormap.from_list("gains", [look.loss, look.paper, look.gain]).with_extremes(
        bad=look.grid
    )
    numbered = len(names) <= MOST_CLASSES_WITH_NUMBERS
    longest = max(map(len, titles))
    angle = 0 if longest * len(compared) < LETTERS_ACROSS else 30
    height = (0.27 if numbered else 0.14) * len(names) + (LETTER_RISES * longest if angle else 0.0)
    with new_figure(look, 1.0 + height) as (figure, axes):
        picture = axes.imshow(gains, cmap=colours, vmin=-limit, vmax=limit, aspect="auto")
        axes.set_yticks(
            range(len(names)), [label(name) for name in names], color=look.ink, fontsize=None if numbered else 6
        )
        axes.set_xticks(
            range(len(compared)),
            titles,
            color=look.ink,
            rotation=angle,
            ha="left" if angle else "center",
            rotation_mode="anchor",
        )
        axes.xaxis.tick_top()
        if len(names) < len(every):
            axes.xaxis.set_label_position("bottom")
            axes.set_xlabel(f"the {len(names)} of {len(every)} classes that change most")
        for side in axes.spines.values():
            side.set_visible(False)
        if numbered:
            for (y, x), gain in np.ndenumerate(gains):
                text = "–" if math.isnan(gain) else signed(gain, 1)
                strong = not math.isnan(gain) and abs(gain) > 0.6 * limit
                axes.text(x, y, text, ha="center", va="center", color=look.paper if strong else look.ink, fontsize=8)
        bar = figure.colorbar(picture, ax=axes, fraction=0.03, pad=0.02)
        bar.outline.set_visible(False)
        bar.ax.tick_params(colors=look.muted, length=0)
        bar.set_label("gain in IoU, points", color=look.muted)
    return figure


def _most_changed(names: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Return as many classes as there is room for, in their order."""
    changes = {name: max(abs(row.class_gains.get(name) or 0.0) for row in rows) for name in names}
    kept = set(sorted(names, key=lambda name: -changes[name])[:MOST_CLASSES])
    return [name for name in names if name in kept]


def _points(gain: float | None) -> float:
    return math.nan if gain is None else 100 * gain


Cost = Literal["gmacs", "latency_ms"]
MARKERS = {"teacher": "s", "plain": "o", "distilled": "D"}
AXES: dict[Cost, tuple[str, Callable[[Row], float | None]]] = {
    "gmacs": ("GMAC an image", lambda row: row.costs.gmacs),
    "latency_ms": ("latency an image, ms", lambda row: row.costs.latency_ms),
}


def cost_figure(rows: Sequence[Row], look: Look, cost: Cost) -> Figure | None:
    """Draw a point a method with its deviation over seeds, None where no run says the cost."""
    title, value_of = AXES[cost]
    looks = styles([row.method for row in rows], look)
    known = [(row, x, colour) for row, (colour, _) in zip(rows, looks, strict=True) if (x := value_of(row)) is not None]
    if not known:
        return None
    with new_figure(look, 3.4) as (figure, axes):
        for row, x, colour in known:
            std = 100 * row.miou.std if row.miou.std is not None else None
            axes.errorbar(
                x,
                100 * row.miou.mean,
                yerr=std,
                fmt=MARKERS[row.method.kind],
                markersize=5,
                color=colour,
                elinewidth=1.2,
                capsize=2,
            )
        axes.grid(color=look.grid, linewidth=0.8)
        axes.set_xlim(0, 1.08 * max(x for _, x, _ in known) or 1.0)
        axes.margins(y=0.12)
        axes.set_xlabel(title)
        axes.set_ylabel("mIoU, %")
        label_points(axes, [(row.method.title, x, 100 * row.miou.mean, colour) for row, x, colour in known], look)
    return figure


class Point(NamedTuple):
    """A validation: the steps before it, and the mean IoU over seeds."""

    step: int
    miou: Spread


def mean_curve(runs: Sequence[Run]) -> list[Point]:
    """Return mean and deviation over seeds at the steps where every run that has a curve was validated."""
    curves = [dict(run.curve) for run in runs if run.curve]
    if not curves:
        return []
    steps = sorted(set.intersection(*(set(curve) for curve in curves)))
    return [Point(step, Spread.of([curve[step] for curve in curves])) for step in steps]


def curves_figure(rows: Sequence[Row], look: Look) -> Figure | None:
    """Draw a line a method with a band of one standard deviation, None where no run has a curve."""
    curves = [mean_curve(row.method.runs) for row in rows]
    if not any(curves):
        return None
    looks = styles([row.method for row in rows], look)
    ends = []
    with new_figure(look, 3.8) as (figure, axes):
        for row, curve, (colour, line) in zip(rows, curves, looks, strict=True):
            if not curve:
                continue
            steps = [point.step for point in curve]
            means = [100 * point.miou.mean for point in curve]
            stds = [100 * (point.miou.std or 0.0) for point in curve]
            dots = "o" if len(steps) < 30 else ""
            axes.plot(steps, means, color=colour, linestyle=line, marker=dots, markersize=3, linewidth=1.8)
            low, high = ([m + sign * s for m, s in zip(means, stds, strict=True)] for sign in (-1, 1))
            axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
            ends.append((row.method.title, steps[-1], means[-1], colour))
        axes.grid(axis="y", color=look.grid, linewidth=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.set_xlim(left=0)
        axes.set_xlabel("optimiser steps")
        axes.set_ylabel("validation mIoU, %")
        label_points(axes, ends, look)
    return figure


def gains_figure(rows: Sequence[Row], look: Look, confidence: float, baseline: str) -> Figure | None:
    """Draw each method's gain over a baseline, None where no method has one."""
    compared = sorted((row for row in rows if row.gain), key=lambda row: row.gain.mean if row.gain else 0.0)
    if not compared:
        return None
    colours = {"above the noise": look.gain, "below the noise": look.loss}
    names = [label(row.method.title) for row in compared]
    with new_figure(look, 1.1 + (0.22 + 0.14 * most_lines(names)) * len(compared)) as (figure, axes):
        axes.axvline(0, color=look.muted, linewidth=1)
        for place, row in enumerate(compared):
            gain = row.gain
            assert gain is not None
            colour = colours.get(gain.verdict, look.noise)
            known = gain.low is not None and gain.high is not None
            if known:
                assert gain.low is not None
                assert gain.high is not None
                axes.plot([100 * gain.low, 100 * gain.high], [place, place], color=colour, linewidth=2.2, zorder=2)
            axes.plot(
                100 * gain.mean,
                place,
                "o",
                markersize=7,
                color=colour,
                markerfacecolor=colour if known else look.paper,
                zorder=3,
            )
            axes.annotate(
                f"{points(gain.mean)}  {reading(row)}",
                (1.0, place),
                xycoords=("axes fraction", "data"),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                color=look.ink if known and colour != look.noise else look.muted,
                annotation_clip=False,
            )
        axes.set_yticks(range(len(compared)), names, color=look.ink)
        axes.set_ylim(-0.6, len(compared) - 0.4)
        axes.grid(axis="x", color=look.grid, linewidth=0.8)
        axes.spines["left"].set_visible(False)
        axes.margins(x=0.08)
        axes.set_xlabel(f"gain in mIoU over {label(baseline)}, points ({100 * confidence:g} % interval)")
    return figure


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


def table_figures(table: Table, confidence: float) -> dict[tuple[str, str], Callable[[Look], Figure | None]]:
    """Return what draws each plot of a table in a look, (name, title) -> a figure, None where there are no numbers."""
    rows = table.rows
    return {
        ("gains", "Gain by method"): lambda look: gains_figure(rows, look, confidence, table.baseline),
        ("curves", "Learning curves, mean over seeds ± standard deviation"): lambda look: curves_figure(rows, look),
        ("miou-gmac", "Score against GMAC"): lambda look: cost_figure(rows, look, "gmacs"),
        ("miou-latency", "Score against latency"): lambda look: cost_figure(rows, look, "latency_ms"),
        ("classes", "Gain by class"): lambda look: classes_figure(rows, look),
    }


def table_plots(table: Table, confidence: float) -> list[Plot]:
    """Draw what a table has numbers for."""
    plots = []
    for (name, title), draw in table_figures(table, confidence).items():
        light, dark = draw(LIGHT), draw(DARK)
        if light is not None and dark is not None:
            plots.append(Plot(name, title, written(light, "svg"), written(light, "png"), written(dark, "svg")))
    return plots
