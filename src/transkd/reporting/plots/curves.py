"""Validation mIoU in the course of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from transkd.reporting.plots.labels import label_points
from transkd.reporting.plots.look import Look, new_figure, styles
from transkd.reporting.rows import Row
from transkd.reporting.runs import Run
from transkd.reporting.student_t import Spread


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
