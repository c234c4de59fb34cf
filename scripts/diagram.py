"""Boxes, arrows and words of a diagram, written as SVG on a card of its own: readable on light and dark screens."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.sax.saxutils import escape

Point = tuple[float, float]

FILLS = {
    "student": ("#d9f2ee", "#0f766e"),
    "teacher": ("#fde8d0", "#b45309"),
    "loss": ("#ece4fb", "#6d28d9"),
    "adapter": ("#e2ecfa", "#1d4ed8"),
    "plain": ("#f1f1f1", "#6b6b6b"),
}
"""Kind of a box -> its fill and its outline."""
INK, QUIET, CARD, EDGE = "#1a1a1a", "#555555", "#ffffff", "#d0d0d0"
LETTERS, SMALL = 15, 13
LINE = 18

HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"
     font-family="system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif">
<title>{title}</title>
<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">
<path d="M0 0 10 5 0 10z" fill="{ink}"/></marker></defs>
<rect x="0.5" y="0.5" width="{inner_width}" height="{inner_height}" rx="10" fill="{card}" stroke="{edge}"/>
"""


@dataclass(frozen=True)
class Box:
    """A box that was drawn; its sides' middles are where arrows begin and end."""

    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...]

    @property
    def left(self) -> Point:
        return self.x, self.y + self.height / 2

    @property
    def right(self) -> Point:
        return self.x + self.width, self.y + self.height / 2

    @property
    def top(self) -> Point:
        return self.x + self.width / 2, self.y

    @property
    def bottom(self) -> Point:
        return self.x + self.width / 2, self.y + self.height


@dataclass
class Diagram:
    """A diagram that grows by its methods.

    Attributes:
        title: what it shows, for people who do not see it.
        width: in pixels.
        height: in pixels.
        boxes: all of them, in the order in which they were drawn.
        words: text outside boxes, with its place, size and anchor.
    """

    title: str
    width: int
    height: int
    boxes: list[Box] = field(default_factory=list)
    words: list[tuple[str, float, float, int, str]] = field(default_factory=list)
    _parts: list[str] = field(default_factory=list)

    def box(self, kind: str, x: float, y: float, width: float, height: float, *lines: str) -> Box:
        """Draw a box; its first line is bold, the others are small."""
        fill, outline = FILLS[kind]
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" fill="{fill}" stroke="{outline}"/>'
        )
        first = y + height / 2 - LINE * (len(lines) - 1) / 2 + LETTERS * 0.35
        for number, line in enumerate(lines):
            style = f'font-size="{SMALL}"' if number else f'font-size="{LETTERS}" font-weight="600"'
            self._write(line, x + width / 2, first + LINE * number, style, INK, "middle")
        self.boxes.append(Box(x, y, width, height, lines))
        return self.boxes[-1]

    def circle(self, x: float, y: float, sign: str) -> Box:
        """Draw an operation, such as + or ⊙."""
        self._parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="13" fill="{CARD}" stroke="{INK}"/>')
        self._write(sign, x, y + 6, 'font-size="17"', INK, "middle")
        return Box(x - 13, y - 13, 26, 26, ())

    def arrow(self, *points: Point, dashed: bool = False) -> None:
        """Draw an arrow through points."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        look = f'fill="none" stroke="{INK}" stroke-width="1.4"{dashes} marker-end="url(#tip)"'
        self._parts.append(f'<polyline points="{path}" {look}/>')

    def text(
        self, x: float, y: float, line: str, *, size: int = SMALL, anchor: str = "middle", bold: bool = False
    ) -> None:
        """Write beside boxes and arrows."""
        self.words.append((line, x, y, size, anchor))
        weight = ' font-weight="600"' if bold else ""
        self._write(line, x, y, f'font-size="{size}"{weight}', INK if bold else QUIET, anchor)

    def svg(self) -> str:
        """Return the file's text."""
        head = HEAD.format(
            width=self.width,
            height=self.height,
            inner_width=self.width - 1,
            inner_height=self.height - 1,
            title=escape(self.title),
            ink=INK,
            card=CARD,
            edge=EDGE,
        )
        return "\n".join([head.rstrip("\n"), *self._parts, "</svg>\n"])

    def _write(self, line: str, x: float, y: float, style: str, colour: str, anchor: str) -> None:
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" {style} fill="{colour}" text-anchor="{anchor}">{escape(line)}</text>'
        )
