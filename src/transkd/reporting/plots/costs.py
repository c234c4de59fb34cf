"""Score against what a network costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from matplotlib.figure import Figure

from transkd.reporting.plots.labels import label_points
from transkd.reporting.plots.look import Look, new_figure, styles
from transkd.reporting.rows import Row

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
