"""Every plot of a table, as files and in both looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from transkd.reporting.build import Table
from transkd.reporting.plots.classes import classes_figure
from transkd.reporting.plots.costs import cost_figure
from transkd.reporting.plots.curves import curves_figure
from transkd.reporting.plots.gains import gains_figure
from transkd.reporting.plots.look import DARK, LIGHT, Look, written


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
