"""The plots of a table: gains, learning curves, score against cost, and gains by class."""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, product
from typing import Any, NamedTuple

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from transkd.reporting.build import Table
from transkd.reporting.columns import COSTS, READINGS, points, reading, signed
from transkd.reporting.rows import Row, Spread
from transkd.runs.finished import Run

WIDTH = 5.8
"""Inches of every plot."""
INK, MUTED, GRID, PAPER = "#1c2330", "#5d6675", "#e3e6eb", "#ffffff"
GAIN, LOSS, NOISE = "#1767a5", "#b4450f", "#858c98"
METHODS = ("#1767a5", "#c4570c", "#0b8a6a", "#8e4fa8", "#a37500", "#c23b6b", "#3f8fb8")
"""One colour for each method, distinct for people with colour vision deficiencies too."""
LINES = ("-", "--", ":", "-.")
MARKERS = {"teacher": "s", "plain": "o", "distilled": "D"}
STYLE: dict[str, Any] = {
    "svg.hashsalt": "transkd",
    "svg.fonttype": "path",
    "savefig.dpi": 180,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.parse_math": False,  # a name with dollars is no formula
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.loc": "center left",
}
LINE_LENGTH, MOST_LINES, NAMELESS = 30, 3, "(no name)"
CLASSES_WITH_NUMBERS, MOST_CLASSES = 40, 80


class Plot(NamedTuple):
    """A plot's name in files, its title, and its SVG and PNG."""

    name: str
    title: str
    svg: bytes
    png: bytes


def figures(table: Table, confidence: float) -> dict[str, tuple[str, Callable[[], Figure | None]]]:
    """Return name -> title of each plot of a table, and what draws it; None where there are no numbers."""
    rows = table.rows
    return {
        "gains": ("Gain by method", lambda: gains_figure(rows, confidence, table.baseline)),
        "curves": ("Learning curves, mean over seeds ± standard deviation", lambda: curves_figure(rows)),
        "miou-gmac": ("Score against GMAC", lambda: cost_figure(rows, "gmacs", "GMAC an image")),
        "miou-latency": ("Score against latency", lambda: cost_figure(rows, "latency_ms", "latency an image, ms")),
        "classes": ("Gain by class", lambda: classes_figure(rows)),
    }


def table_plots(table: Table, confidence: float) -> list[Plot]:
    """Draw what a table has numbers for."""
    plots = []
    for name, (title, draw) in figures(table, confidence).items():
        with plot_style():
            if (figure := draw()) is not None:
                plots.append(Plot(name, title, file_content(figure, "svg"), file_content(figure, "png")))
    return plots


@contextmanager
def plot_style() -> Iterator[None]:
    """Draw in a report's style, whatever the user's is."""
    with style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # it is drawn as a box; the tables have the sign
        yield


def file_content(figure: Figure, kind: str) -> bytes:
    """Return a figure as a file's bytes, without the date and the program's version."""
    buffer = io.BytesIO()
    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    figure.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()


def new_axes(height: float) -> tuple[Figure, Axes]:
    """Return an empty figure of a report's width and ``height`` inches, and its axes."""
    figure = Figure(figsize=(WIDTH, height))
    return figure, figure.add_subplot()


def folded(name: str) -> str:
    """Return a name in at most three lines, without signs that cannot be drawn."""
    text = "".join(sign if sign.isprintable() else " " for sign in name)
    lines = textwrap.wrap(text, LINE_LENGTH, max_lines=MOST_LINES, placeholder=" …", break_on_hyphens=False)
    return "\n".join(lines or [NAMELESS])


def row_styles(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return line and colour of each row: teachers in ink, plain students in grey, then one colour each."""
    palettes = {"teacher": (INK,), "plain": (NOISE,), "distilled": METHODS}
    styles = {kind: cycle(product(LINES, colours)) for kind, colours in palettes.items()}
    return [next(styles[row.method.kind]) for row in rows]


def gains_figure(rows: Sequence[Row], confidence: float, baseline: str) -> Figure | None:
    """Draw each method's gain over a baseline, None where no method has one."""
    compared = sorted(((row, row.gain) for row in rows if row.gain), key=lambda both: both[1].mean)
    if not compared:
        return None
    names = [folded(row.method.title) for row, _ in compared]
    figure, axes = new_axes(1.1 + (0.22 + 0.14 * max(name.count("\n") + 1 for name in names)) * len(compared))
    axes.axvline(0, color=MUTED, linewidth=1)
    for position, (row, gain) in enumerate(compared):
        emphasis = READINGS[gain.verdict][1]
        colour = {"gain": GAIN, "loss": LOSS, "": NOISE}[emphasis]
        if gain.low is not None and gain.high is not None:
            axes.plot([100 * gain.low, 100 * gain.high], [position, position], color=colour, linewidth=2.2)
        filled = PAPER if gain.verdict == "unknown" else colour
        axes.plot(100 * gain.mean, position, "o", markersize=7, color=colour, markerfacecolor=filled)
        text = f"  {points(gain.mean)}  {reading(row)}"
        side = axes.get_yaxis_transform()
        axes.text(1.0, position, text, transform=side, va="center", color=INK if emphasis else MUTED)
    axes.set_yticks(range(len(compared)), names)
    axes.set_ylim(-0.6, len(compared) - 0.4)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.08)
    axes.set_xlabel(f"gain in mIoU over {folded(baseline)}, points ({100 * confidence:g} % interval)")
    return figure


def mean_curve(runs: Sequence[Run]) -> list[tuple[int, Spread]]:
    """Return (steps, mIoU over seeds) at the validations that every run with a curve has."""
    curves = [dict(run.curve) for run in runs if run.curve]
    steps = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    return [(step, Spread.of([curve[step] for curve in curves])) for step in steps]


def curves_figure(rows: Sequence[Row]) -> Figure | None:
    """Draw a line for each method with a band of one standard deviation, None where no run has a curve."""
    curves = [mean_curve(row.method.runs) for row in rows]
    if not any(curves):
        return None
    figure, axes = new_axes(3.8)
    for row, curve, (line, colour) in zip(rows, curves, row_styles(rows), strict=True):
        if curve:
            steps = [step for step, _ in curve]
            means = np.array([100 * miou.mean for _, miou in curve])
            stds = np.array([100 * (miou.std or 0.0) for _, miou in curve])
            marker = "o" if len(steps) < 30 else ""
            axes.plot(steps, means, line, color=colour, marker=marker, ms=3, lw=1.8, label=folded(row.method.title))
            axes.fill_between(steps, means - stds, means + stds, color=colour, alpha=0.15, linewidth=0)
    axes.grid(axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.set(xlim=(0, None), xlabel="optimiser steps", ylabel="validation mIoU, %")
    axes.legend(bbox_to_anchor=(1, 0.5))
    return figure


def cost_figure(rows: Sequence[Row], key: str, axis: str) -> Figure | None:
    """Draw a point for each method with its deviation over seeds, None where no run has the cost."""
    cost = next(cost for cost in COSTS if cost.key == key)
    values = [cost.value(row) for row in rows]
    if all(value is None for value in values):
        return None
    figure, axes = new_axes(3.4)
    for row, value, (_, colour) in zip(rows, values, row_styles(rows), strict=True):
        if value is not None:
            deviation = None if row.miou.std is None else 100 * row.miou.std
            shape: dict[str, Any] = {"fmt": MARKERS[row.method.kind], "color": colour}
            shape |= {"markersize": 5, "elinewidth": 1.2, "capsize": 2}
            axes.errorbar(value, 100 * row.miou.mean, yerr=deviation, label=folded(row.method.title), **shape)
    axes.grid()
    axes.margins(y=0.12)
    axes.set(xlim=(0, 1.08 * max(value or 0 for value in values) or 1.0), xlabel=axis, ylabel="mIoU, %")
    axes.legend(bbox_to_anchor=(1, 0.5))
    return figure


def classes_figure(rows: Sequence[Row]) -> Figure | None:
    """Draw gains over the baseline as a heat map, classes down and methods across; None where there are none."""
    compared = [row for row in rows if any(gain is not None for gain in row.class_gains.values())]
    if not compared:
        return None
    every = list(dict.fromkeys(name for row in compared for name in row.class_gains))
    changes = {name: max(abs(row.class_gains.get(name) or 0.0) for row in compared) for name in every}
    most_changed = sorted(every, key=lambda name: -changes[name])[:MOST_CLASSES]
    names = [name for name in every if name in most_changed]
    gains = 100 * np.array([[row.class_gains.get(name) for row in compared] for name in names], dtype=float)
    limit = float(np.nanmax(np.abs(gains))) or 1.0
    numbered = len(names) <= CLASSES_WITH_NUMBERS
    titles = [folded(row.method.title) for row in compared]
    figure, axes = new_axes(2.0 + (0.27 if numbered else 0.14) * len(names))
    colours = LinearSegmentedColormap.from_list("gains", [LOSS, PAPER, GAIN]).with_extremes(bad=GRID)
    picture = axes.imshow(gains, cmap=colours, vmin=-limit, vmax=limit, aspect="auto")
    axes.set_yticks(range(len(names)), [folded(name) for name in names], fontsize=None if numbered else 6)
    axes.set_xticks(range(len(compared)), titles, color=INK, rotation=30, ha="left", rotation_mode="anchor")
    axes.xaxis.tick_top()
    axes.spines[:].set_visible(False)
    if len(names) < len(every):
        axes.xaxis.set_label_position("bottom")
        axes.set_xlabel(f"the {len(names)} of {len(every)} classes that change most")
    for (y, x), gain in np.ndenumerate(gains) if numbered else ():
        text = "–" if math.isnan(gain) else signed(gain, 1)
        axes.text(x, y, text, ha="center", va="center", color=PAPER if abs(gain) > 0.6 * limit else INK, fontsize=8)
    bar = figure.colorbar(picture, ax=axes, fraction=0.03, pad=0.02, label="gain in IoU, points")
    bar.outline.set_visible(False)
    return figure
