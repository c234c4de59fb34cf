"""Names as a plot has room for them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

ACROSS, LINES = 30, 3
IN_ONE_LINE = 42
NAMELESS = "(no name)"


def label(name: str, across: int = ACROSS) -> str:
    """Return a name in lines of ``across`` letters, three at most, without signs that cannot be drawn."""
    lines = textwrap.wrap(_drawn(name), across, max_lines=LINES, placeholder=" …", break_on_hyphens=False)
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
