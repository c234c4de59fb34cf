"""How plots are drawn: colours for light and dark screens, labels that never overlap, and files of the same bytes."""

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
from matplotlib.transforms import ScaledTranslation

from transkd.reporting.methods import Method

WIDTH, DPI, FONT_SIZE = 5.8, 180, 9.0
LINES = ("-", "--", ":", "-.")
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "transkd",
    "font.family": "DejaVu Sans",
    "font.size": FONT_SIZE,
    "svg.fonttype": "path",
    "text.parse_math": False,  # a name with dollar signs is no formula
}
NO_GLYPH = "Glyph .* missing from"


@dataclass(frozen=True)
class Theme:
    """The colours of a plot.

    Attributes:
        paper, ink, muted, grid: background, text, secondary text and lines.
        gain, loss, noise: of differences above, below and within the noise.
        methods: one colour for each method, distinct for people with colour vision deficiencies too.
    """

    paper: str
    ink: str
    muted: str
    grid: str
    gain: str
    loss: str
    noise: str
    methods: tuple[str, ...]


LIGHT = Theme(
    paper="#ffffff",
    ink="#1c2330",
    muted="#5d6675",
    grid="#e3e6eb",
    gain="#1767a5",
    loss="#b4450f",
    noise="#858c98",
    methods=("#1767a5", "#c4570c", "#0b8a6a", "#8e4fa8", "#a37500", "#c23b6b", "#3f8fb8"),
)
DARK = Theme(
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
def new_figure(theme: Theme, height: float) -> Iterator[tuple[Figure, Axes]]:
    """Yield an empty figure of a report's width and ``height`` inches, and its axes."""
    with mpl.rc_context(dict(mpl.rcParamsDefault) | SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", NO_GLYPH)  # it is drawn as a box; the tables have the sign
        figure = Figure(figsize=(WIDTH, height), facecolor=theme.paper, layout="constrained")
        axes = figure.add_subplot(facecolor=theme.paper)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axes.spines[side].set_color(theme.grid)
        axes.tick_params(colors=theme.muted, length=0)
        axes.xaxis.label.set_color(theme.muted)
        axes.yaxis.label.set_color(theme.muted)
        axes.set_axisbelow(True)
        yield figure, axes
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # it is laid out; each file would do so again


def file_content(figure: Figure, kind: Literal["svg", "png"]) -> bytes:
    """Return a figure as a file's bytes, without the date and the program's version."""
    buffer = io.BytesIO()
    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    with mpl.rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", NO_GLYPH)
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata, facecolor=figure.get_facecolor())
    return buffer.getvalue()


def method_styles(methods: Sequence[Method], theme: Theme) -> list[tuple[str, str]]:
    """Return colour and line of each method: teachers in ink, plain students in grey, then one colour each."""
    palettes = {"teacher": (theme.ink,), "plain": (theme.noise,), "distilled": theme.methods}
    counts = dict.fromkeys(palettes, 0)
    found = []
    for method in methods:
        colours, count = palettes[method.kind], counts[method.kind]
        found.append((colours[count % len(colours)], LINES[count // len(colours) % len(LINES)]))
        counts[method.kind] += 1
    return found


LINE_LENGTH, MOST_LINES, LONGEST_LINE = 30, 3, 42
NAMELESS = "(no name)"


def folded(name: str) -> str:
    """Return a name in at most three lines, without signs that cannot be drawn."""
    lines = textwrap.wrap(_printable(name), LINE_LENGTH, max_lines=MOST_LINES, placeholder=" …", break_on_hyphens=False)
    return "\n".join(lines or [NAMELESS])


def shortened(name: str) -> str:
    """Return a name in one line, with an ellipsis in the middle where it is too long for it."""
    text = " ".join(_printable(name).split()) or NAMELESS
    half = LONGEST_LINE // 2
    return text if len(text) <= LONGEST_LINE else f"{text[:half].rstrip()} … {text[-half + 3 :].lstrip()}"


def _printable(name: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in name)


def line_count(labels: Sequence[str]) -> int:
    """Return how many lines the highest of some labels has."""
    return max((text.count("\n") + 1 for text in labels), default=1)


Labelled = tuple[str, float, float, str]
"""Text, x, y and colour."""
LINE_HEIGHT, NEXT_LINE = 1.45 * FONT_SIZE, 0.85
OFFSET = 16
HALO = 3.0
"""Width of the paper around letters, in points: a longer curve may pass behind them."""
LABEL_WIDTH = 0.25
"""Of the axes' width."""


def label_points(axes: Axes, points: Sequence[Labelled], theme: Theme) -> None:
    """Write each text to the right of its point, at its y or as near as there is room, with a line to the point.

    Points that are near each other in x share a column of labels.
    """
    points = [(folded(text), x, y, colour) for text, x, y, colour in points]
    line_height = LINE_HEIGHT * (1 + NEXT_LINE * (line_count([text for text, *_ in points]) - 1))
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    height = float(axes.get_window_extent().height * 72 / figure.dpi)
    scale = height / (top - bottom)
    columns: list[list[Labelled]] = []
    for point in sorted(points, key=lambda point: point[1]):
        if columns and point[1] - columns[-1][-1][1] < LABEL_WIDTH * (right - left):
            columns[-1].append(point)
        else:
            columns.append([point])
    for column in columns:
        wanted = [(y - bottom) * scale for _, _, y, _ in column]
        heights = spread_apart(wanted, min(line_height, height / len(column)))
        over = max(heights) - height
        shift = -over if over > 0 else max(-min(heights), 0.0)  # onto the axes
        edge = max(x for _, x, _, _ in column)
        for (text, x, y, colour), position in zip(column, heights, strict=True):
            axes.annotate(
                text,
                (x, y),
                xytext=(edge, bottom + (position + shift) / scale),
                textcoords=axes.transData + ScaledTranslation(OFFSET / 72, 0, figure.dpi_scale_trans),
                va="center",
                ha="left",
                color=theme.ink,
                path_effects=[withStroke(linewidth=HALO, foreground=theme.paper)],
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


def spread_apart(positions: Sequence[float], gap: float) -> list[float]:
    """Return positions in the same order, moved as little as it takes to be ``gap`` or more apart."""
    blocks: list[tuple[list[int], float]] = []
    for index in sorted(range(len(positions)), key=lambda index: (positions[index], index)):
        members, centre = [index], positions[index]
        while blocks and centre - gap * (len(members) - 1) / 2 < blocks[-1][1] + gap * (len(blocks[-1][0]) + 1) / 2:
            members = [*blocks.pop()[0], *members]
            centre = sum(positions[i] for i in members) / len(members)
        blocks.append((members, centre))
    moved = {
        index: centre + gap * (number - (len(members) - 1) / 2)
        for members, centre in blocks
        for number, index in enumerate(members)
    }
    return [moved[index] for index in range(len(positions))]
