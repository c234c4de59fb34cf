"""Gain by method, with the confidence interval."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from transkd.reporting.cells import points, reading
from transkd.reporting.plots.look import Look, new_figure
from transkd.reporting.plots.texts import label, most_lines
from transkd.reporting.rows import Row


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
