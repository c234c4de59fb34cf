"""How plots look, on light and on dark screens, and how they become files of the same bytes each time."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
