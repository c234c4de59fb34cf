"""Which classes gain."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from transkd.reporting.cells import signed
from transkd.reporting.plots.look import Look, new_figure
from transkd.reporting.rows import Row

MOST_CLASSES_WITH_NUMBERS = 40
LETTERS_ACROSS = 48


def classes_figure(rows: Sequence[Row], look: Look) -> Figure | None:
    """Draw gains over the plain student as a heat map, classes down and methods across; None where there are none."""
    compared = [row for row in rows if any(gain is not None for gain in row.class_gains.values())]
    if not compared:
        return None
    names = list(dict.fromkeys(name for row in compared for name in row.class_gains))
    gains = np.array([[_points(row.class_gains.get(name)) for row in compared] for name in names])
    limit = max(float(np.nanmax(np.abs(gains))), 1e-9)
    colours = LinearSegmentedColormap.from_list("gains", [look.loss, look.paper, look.gain]).with_extremes(
        bad=look.grid
    )
    numbered = len(names) <= MOST_CLASSES_WITH_NUMBERS
    with new_figure(look, 1.2 + (0.27 if numbered else 0.14) * len(names)) as (figure, axes):
        picture = axes.imshow(gains, cmap=colours, vmin=-limit, vmax=limit, aspect="auto")
        axes.set_yticks(range(len(names)), names, color=look.ink, fontsize=None if numbered else 6)
        longest = max(len(row.method.title) for row in compared)
        angle = 0 if longest * len(compared) < LETTERS_ACROSS else 30
        axes.set_xticks(
            range(len(compared)),
            [row.method.title for row in compared],
            color=look.ink,
            rotation=angle,
            ha="left" if angle else "center",
            rotation_mode="anchor",
        )
        axes.xaxis.tick_top()
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


def _points(gain: float | None) -> float:
    return math.nan if gain is None else 100 * gain
