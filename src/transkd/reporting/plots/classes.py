"""Which classes gain."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from transkd.reporting.cells import signed
from transkd.reporting.plots.look import Look, new_figure
from transkd.reporting.plots.texts import label, line
from transkd.reporting.rows import Row

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
