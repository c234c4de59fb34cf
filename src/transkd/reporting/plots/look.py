"""How plots look, on light and on dark screens, and how they become files of the same bytes each time."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.transforms import ScaledTranslation, Transform

from transkd.reporting.methods import Method

WIDTH = 5.8
DPI = 180
TEXT = 9.0
LINES = ("-", "--", ":", "-.")
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "transkd",
    "font.family": "DejaVu Sans",
    "font.size": TEXT,
    "svg.fonttype": "path",
    "text.parse_math": False,  # a name with dollar signs is no formula
}
NO_GLYPH = "Glyph .* missing from"


@dataclass(frozen=True)
class Look:
    """The colours of a plot.

    Attributes:
        paper, ink, muted, grid: background, text, secondary text and lines.
        gain, loss, noise: of differences above, below and within the noise.
        methods: one colour a method, told apart by people with colour vision deficiencies too.
    """

    paper: str
    ink: str
    muted: str
    grid: str
    gain: str
    loss: str
    noise: str
    methods: tuple[str, ...]


LIGHT = Look(
    paper="#ffffff",
    ink="#1c2330",
    muted="#5d6675",
    grid="#e3e6eb",
    gain="#1767a5",
    loss="#b4450f",
    noise="#858c98",
    methods=("#1767a5", "#c4570c", "#0b8a6a", "#8e4fa8", "#a37500", "#c23b6b", "#3f8fb8"),
)
DARK = Look(
    paper="#15181e",
    ink="#e8ebf0",
    muted="#a2aab8",
    grid="#2f353f",
    gain="#6cb4f0",
    loss="#f19a68",
    noise="#939baa",
    methods=("#6cb4f0", "#f19a68", "#4fcfa8", "#c99be0", "#dfb64a", "#ef86ab", "#8ed3ee"),
)


@contextmanager
def new_figure(look: Look, height: float) -> Iterator[tuple[Figure, Axes]]:
    """Yield an empty figure of a report's width and ``height`` inches, and its axes, in a look."""
    with mpl.rc_context(dict(mpl.rcParamsDefault) | SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", NO_GLYPH)  # it is drawn as a box; the tables have the sign
        figure = Figure(figsize=(WIDTH, height), facecolor=look.paper, layout="constrained")
        axes = figure.add_subplot(facecolor=look.paper)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axes.spines[side].set_color(look.grid)
        axes.tick_params(colors=look.muted, length=0)
        axes.xaxis.label.set_color(look.muted)
        axes.yaxis.label.set_color(look.muted)
        axes.set_axisbelow(True)
        yield figure, axes
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # all is in its place; each file would lay it out again


def written(figure: Figure, kind: Literal["svg", "png"]) -> bytes:
    """Return a figure as a file's bytes, without the date and the program's version."""
    buffer = io.BytesIO()
    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    with mpl.rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", NO_GLYPH)
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata, facecolor=figure.get_facecolor())
    return buffer.getvalue()


def styles(methods: Sequence[Method], look: Look) -> list[tuple[str, str]]:
    """Return colour and line of each method: teachers in ink, plain students in grey, then one colour each."""
    found: list[tuple[str, str]] = []
    counts = {"teacher": 0, "plain": 0, "distilled": 0}
    for method in methods:
        place = counts[method.kind]
        counts[method.kind] += 1
        if method.kind == "distilled":
            colours = look.methods
            found.append((colours[place % len(colours)], LINES[place // len(colours) % len(LINES)]))
        else:
            colour = look.ink if method.kind == "teacher" else look.noise
            found.append((colour, LINES[place % len(LINES)]))
    return found


def spread_apart(positions: Sequence[float], gap: float) -> list[float]:
    """Return positions in the same order, moved as little as it takes to be ``gap`` or more apart."""
    order = sorted(range(len(positions)), key=lambda i: (positions[i], i))
    blocks: list[tuple[list[int], float]] = []
    for index in order:
        members, centre = [index], positions[index]
        while blocks and centre - gap * (len(members) - 1) / 2 < blocks[-1][1] + gap * (len(blocks[-1][0]) + 1) / 2:
            earlier, _ = blocks.pop()
            members = [*earlier, *members]
            centre = sum(positions[i] for i in members) / len(members)
        blocks.append((members, centre))
    found = [0.0] * len(positions)
    for members, centre in blocks:
        for place, index in enumerate(members):
            found[index] = centre + gap * (place - (len(members) - 1) / 2)
    return found


ACROSS, TEXT_LINES = 30, 3
IN_ONE_LINE = 42
NAMELESS = "(no name)"


def label(name: str, across: int = ACROSS) -> str:
    """Return a name in lines of ``across`` letters, three at most, without signs that cannot be drawn."""
    lines = textwrap.wrap(_drawn(name), across, max_lines=TEXT_LINES, placeholder=" …", break_on_hyphens=False)
    return "\n".join(lines or [NAMELESS])


def line(name: str) -> str:
    """Return a name in one line, with an ellipsis in the middle where it is too long for it."""
    text = " ".join(_drawn(name).split()) or NAMELESS
    half = IN_ONE_LINE // 2
    return text if len(text) <= IN_ONE_LINE else f"{text[:half].rstrip()} … {text[-half + 3 :].lstrip()}"


def most_lines(labels: Sequence[str]) -> int:
    """Return how many lines the longest of some labels has."""
    return max((text.count("\n") + 1 for text in labels), default=1)


def _drawn(name: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in name)


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
