"""Labels beside the points they name, moved apart where they would overlap."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.transforms import ScaledTranslation, Transform

from transkd.reporting.plots.look import TEXT, Look, spread_apart
from transkd.reporting.plots.texts import label, most_lines

Named = tuple[str, float, float, str]
"""Text, x, y and colour."""
LINE_HEIGHT = 1.45 * TEXT
NEXT_LINE = 0.85
OFFSET = 16
HALO = 3.0
"""Width of the paper around letters, in points: a longer curve may pass behind them."""
COLUMN = 0.25
"""Of the axes' width: what a label takes."""


def label_points(axes: Axes, named: Sequence[Named], look: Look) -> None:
    """Write each text to the right of its point, at its y or as near as there is room, with a line to the point.

    Points that are near each other in x share a column of labels.
    """
    named = [(label(text), x, y, colour) for text, x, y, colour in named]
    line_height = LINE_HEIGHT * (1 + NEXT_LINE * (most_lines([text for text, *_ in named]) - 1))
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    height = _height_in_points(axes)
    scale = height / (top - bottom)
    for column in _columns(named, COLUMN * (right - left)):
        gap = min(line_height, height / len(column))
        places = spread_apart([(y - bottom) * scale for _, _, y, _ in column], gap)
        edge = max(x for _, x, _, _ in column)
        for (text, x, y, colour), place in zip(column, _within(places, height), strict=True):
            axes.annotate(
                text,
                (x, y),
                xytext=(edge, bottom + place / scale),
                textcoords=axes.transData + _shifted(axes),
                va="center",
                ha="left",
                color=look.ink,
                path_effects=[withStroke(linewidth=HALO, foreground=look.paper)],
                annotation_clip=False,
                arrowprops={
                    "arrowstyle": "-",
                    "color": colour,
                    "linewidth": 0.8,
                    "relpos": (0, 0.5),
                    "shrinkA": 1,
                    "shrinkB": 4,
                },
            )
    axes.set_ylim(bottom, top)


def _columns(named: Sequence[Named], width: float) -> list[list[Named]]:
    """Sort points into groups that are ``width`` or more apart in x."""
    columns: list[list[Named]] = []
    for one in sorted(named, key=lambda one: one[1]):
        if columns and one[1] - columns[-1][-1][1] < width:
            columns[-1].append(one)
        else:
            columns.append([one])
    return columns


def _within(places: Sequence[float], height: float) -> list[float]:
    """Move all labels by as much as brings them onto the axes."""
    over, under = max(places) - height, -min(places)
    shift = -over if over > 0 else max(under, 0.0)
    return [place + shift for place in places]


def _height_in_points(axes: Axes) -> float:
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    return float(axes.get_window_extent().height * 72 / figure.dpi)


def _shifted(axes: Axes) -> Transform:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return ScaledTranslation(OFFSET / 72, 0, figure.dpi_scale_trans)
