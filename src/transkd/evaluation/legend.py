"""Legends: swatches and class names in rows that fit a width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

BACKGROUND = (255, 255, 255)
INK = (20, 20, 20)
MARGIN = 8


@cache
def font(size: int = 13) -> Font:
    """Return a font whose height is about ``size`` pixels.

    It is DejaVu Sans, which comes with matplotlib: Pillow's own has the letters of ASCII only, and class names have
    others (Straße, vélo, дорога).
    """
    matplotlib = find_spec("matplotlib")  # found, not imported: that takes a while
    folders = [] if matplotlib is None else matplotlib.submodule_search_locations or []
    files = [Path(folder, "mpl-data/fonts/ttf/DejaVuSans.ttf") for folder in folders]
    there = next((file for file in files if file.is_file()), None)
    return ImageFont.load_default(size=size) if there is None else ImageFont.truetype(str(there), size)


def shortened(text: str, width: int, size: int) -> str:
    """Return a text, or as much of its end as fits a width in pixels after an ellipsis."""
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(f"…{text}") > width:
        text = text[1:]
    return f"…{text}"


def legend_strip(names: Sequence[str], colours: Sequence[Colour], width: int, *, text_size: int = 13) -> Image.Image:
    """Draw a legend that wraps at ``width`` pixels; it is wider only where a single name is.

    Args:
        names: one name an entry.
        colours: one colour an entry.
        width: of the strip, in pixels.
        text_size: of the names, in pixels.
    """
    row, swatch = round(text_size * 20 / 13), round(text_size * 12 / 13)
    spots: list[tuple[int, int]] = []
    left, top, right = MARGIN, 2, width
    for name in names:
        entry = _entry_width(name, text_size)
        if left + entry > width and left > MARGIN:
            left, top = MARGIN, top + row
        spots.append((left, top))
        left += entry
        right = max(right, left)
    legend = Image.new("RGB", (right, top + row + 4), BACKGROUND)
    pen = ImageDraw.Draw(legend)
    for name, colour, spot in zip(names, colours, spots, strict=True):
        _draw_entry(pen, spot, name, colour, text_size, swatch)
    return legend


@dataclass
class SteadyLegend:
    """A legend for the frames of a video: one size, and a class keeps the place that it gets when it first occurs.

    Attributes:
        names: every class's name.
        colours: every class's colour.
        width: of the strip, in pixels; it is wider where a single name is.
        text_size: of the names, in pixels.
        most_height: the strip is not higher; classes that find no place any more are left out.
        left_out: names of those.
    """

    names: Sequence[str]
    colours: Sequence[Colour]
    width: int
    text_size: int
    most_height: int
    left_out: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._row = round(self.text_size * 20 / 13)
        self._cell = max((_entry_width(name, self.text_size) for name in self.names), default=1)
        self.width = max(self.width, MARGIN + self._cell)
        self._columns = (self.width - MARGIN) // self._cell
        needed = -(-len(self.names) // self._columns)
        self._rows = max(1, min(needed, (self.most_height - 6) // self._row))
        self._places: dict[int, int] = {}
        self._strip = Image.new("RGB", (self.width, self._rows * self._row + 6), BACKGROUND)

    def lacks(self, occurring: Sequence[int]) -> list[int]:
        """Return those of the classes ``occurring`` that have no place yet and may still get one."""
        return [index for index in occurring if index not in self._places and self.names[index] not in self.left_out]

    def strip(self, occurring: Sequence[int], shown: Mapping[int, Colour] | None = None) -> Image.Image:
        """Return the legend after a frame in which the classes ``occurring`` are seen; do not change it.

        Args:
            occurring: classes of the frame.
            shown: what classes that have no place yet look like in the frame, where it is not their own colour.
        """
        for index in self.lacks(occurring):
            if len(self._places) == self._rows * self._columns:
                self.left_out.append(self.names[index])
                continue
            place = self._places[index] = len(self._places)
            row, column = divmod(place, self._columns)
            spot = (MARGIN + column * self._cell, 2 + row * self._row)
            swatch = round(self.text_size * 12 / 13)
            pen = ImageDraw.Draw(self._strip)
            colour = (shown or {}).get(index, self.colours[index])
            _draw_entry(pen, spot, self.names[index], colour, self.text_size, swatch)
        return self._strip


def _entry_width(name: str, text_size: int) -> int:
    return round(text_size * 31 / 13) + int(font(text_size).getlength(name))


def _draw_entry(
    pen: ImageDraw.ImageDraw, spot: tuple[int, int], name: str, colour: Colour, text_size: int, swatch: int
) -> None:
    left, top = spot
    pen.rectangle((left, top + 2, left + swatch, top + 2 + swatch), fill=colour, outline=INK)
    pen.text((left + swatch + round(text_size * 5 / 13), top), name, fill=INK, font=font(text_size))
