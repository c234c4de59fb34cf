"""Pictures: image, label and predictions side by side, legends of classes, confusion matrices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Colour = tuple[int, int, int]
Pixels = npt.NDArray[np.uint8]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

BACKGROUND = (255, 255, 255)
INK = (20, 20, 20)
LEGEND_MARGIN = 8
Palette = Sequence[Colour]

Scene = tuple[Pixels, Mapping[str, npt.NDArray[np.integer]]]
"""An image (H, W, 3) RGB, and title -> class ids (h, w) of each map beside it."""

LETTERS, TITLE_HEIGHT = 15, 26
NOT_LABELLED, IGNORED = "not labelled", (0, 0, 0)
CAPTION = ("one row a label, one column a prediction:", "% of the pixels labelled so; grey: none is")
EMPTY, FULL = np.array(BACKGROUND), np.array([23, 66, 122])
NO_LABELS, GRID, QUIET_INK = (228, 228, 228), (225, 225, 225), (90, 90, 90)
MARGIN, GAP = 10, 6
MANY = 40
"""With more classes, cells and letters are small, and names stand on all four sides."""
FAINT = 0.6
"""Shares are drawn by this power of them, so that a confusion of 5 % is seen."""


def colourise(classes: npt.NDArray[np.integer], palette: Palette) -> Pixels:
    """Return class ids (H, W) as colours (H, W, 3); ids without a colour (ignored pixels) are black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    colours: Pixels = table[np.clip(classes, 0, 255).astype(np.uint8)]
    return colours


def scene_picture(
    image: Pixels,
    classes: Mapping[str, npt.NDArray[np.integer]],
    class_names: Sequence[str],
    palette: Palette,
    *,
    panel_width: int = 384,
) -> Image.Image:
    """Lay a scene's image and class maps side by side, each under its title, above a legend.

    Args:
        image: (H, W, 3) RGB.
        classes: title -> class ids (h, w), e.g. label, teacher, student; resized nearest to the panel.
        class_names: name of each class id.
        palette: colour of each class id.
        panel_width: width of each panel in pixels.

    Returns:
        The picture; its legend names the classes that occur in any of the maps, and ignored pixels where there are.
    """
    return scene_sheet([(image, classes)], class_names, palette, panel_width=panel_width)


def scene_sheet(
    scenes: Iterable[Scene],
    class_names: Sequence[str],
    palette: Palette,
    *,
    panel_width: int = 256,
    columns: int = 1,
) -> Image.Image:
    """Lay several scenes out in rows, each as in :func:`scene_picture`, above one legend for all of them.

    Args:
        scenes: one or more, with as many maps each; taken one after another, so that they need not all be in memory.
        class_names: name of each class id.
        palette: colour of each class id.
        panel_width: width of each panel in pixels.
        columns: scenes in a row.
    """
    cells: list[Image.Image] = []
    seen: set[int] = set()
    for image, classes in scenes:
        cells.append(scene_panels(image, classes, palette, panel_width))
        seen.update(int(index) for ids in classes.values() for index in np.unique(ids))
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    width = LEGEND_MARGIN + max(sum(cell.width for cell in row) for row in rows)
    legend = legend_of(sorted(seen), class_names, palette, width)
    height = sum(max(cell.height for cell in row) for row in rows)
    sheet = Image.new("RGB", (max(width, legend.width), height + legend.height), BACKGROUND)
    top = 0
    for row in rows:
        left = LEGEND_MARGIN
        for cell in row:
            sheet.paste(cell, (left, top))
            left += cell.width
        top += max(cell.height for cell in row)
    sheet.paste(legend, (0, top))
    return sheet


def scene_panels(
    image: Pixels, classes: Mapping[str, npt.NDArray[np.integer]], palette: Palette, panel_width: int
) -> Image.Image:
    """Draw an image and its class maps side by side under their titles, a margin to the right of each and below."""
    height = max(1, round(panel_width * image.shape[0] / image.shape[1]))
    size = (panel_width, height)
    panels = {"image": Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)}
    for title, ids in classes.items():
        panels[title] = Image.fromarray(colourise(ids, palette)).resize(size, Image.Resampling.NEAREST)
    canvas = Image.new(
        "RGB", (len(panels) * (panel_width + LEGEND_MARGIN), TITLE_HEIGHT + height + LEGEND_MARGIN), BACKGROUND
    )
    pen = ImageDraw.Draw(canvas)
    for column, (title, panel) in enumerate(panels.items()):
        left = column * (panel_width + LEGEND_MARGIN)
        pen.text((left, 4), shortened(title, panel_width, LETTERS), fill=INK, font=font(LETTERS))
        canvas.paste(panel, (left, TITLE_HEIGHT))
    return canvas


def legend_of(seen: Sequence[int], class_names: Sequence[str], palette: Palette, width: int) -> Image.Image:
    """Draw the legend of the class ids that occur; ids beyond the classes are ignored pixels."""
    entries = [(class_names[i], palette[i]) for i in seen if i < len(class_names)]
    if seen and seen[-1] >= len(class_names):
        entries.append((NOT_LABELLED, IGNORED))
    return legend_strip([name for name, _ in entries], [colour for _, colour in entries], width, text_size=LETTERS)


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
    left, top, right = LEGEND_MARGIN, 2, width
    for name in names:
        entry = entry_width(name, text_size)
        if left + entry > width and left > LEGEND_MARGIN:
            left, top = LEGEND_MARGIN, top + row
        spots.append((left, top))
        left += entry
        right = max(right, left)
    legend = Image.new("RGB", (right, top + row + 4), BACKGROUND)
    pen = ImageDraw.Draw(legend)
    for name, colour, spot in zip(names, colours, spots, strict=True):
        draw_entry(pen, spot, name, colour, text_size, swatch)
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
        self._cell = max((entry_width(name, self.text_size) for name in self.names), default=1)
        self.width = max(self.width, LEGEND_MARGIN + self._cell)
        self._columns = (self.width - LEGEND_MARGIN) // self._cell
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
            spot = (LEGEND_MARGIN + column * self._cell, 2 + row * self._row)
            swatch = round(self.text_size * 12 / 13)
            pen = ImageDraw.Draw(self._strip)
            colour = (shown or {}).get(index, self.colours[index])
            draw_entry(pen, spot, self.names[index], colour, self.text_size, swatch)
        return self._strip


def entry_width(name: str, text_size: int) -> int:
    """Return the width of a legend's entry in pixels."""
    return round(text_size * 31 / 13) + int(font(text_size).getlength(name))


def draw_entry(
    pen: ImageDraw.ImageDraw, spot: tuple[int, int], name: str, colour: Colour, text_size: int, swatch: int
) -> None:
    """Draw a square of a class's colour, and its name."""
    left, top = spot
    pen.rectangle((left, top + 2, left + swatch, top + 2 + swatch), fill=colour, outline=INK)
    pen.text((left + swatch + round(text_size * 5 / 13), top), name, fill=INK, font=font(text_size))


def confusion_picture(confusion: Tensor, class_names: Sequence[str]) -> Image.Image:
    """Draw a (K, K) confusion matrix, each row in percent of the pixels that are labelled so.

    Args:
        confusion: counts, rows are labels and columns predictions.
        class_names: K names.
    """
    counts = confusion.double().numpy()
    totals = counts.sum(1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    many = len(class_names) > MANY
    cell, letters = (20, font(10)) if many else (32, font(12))
    longest = max(round(letters.getlength(name)) for name in class_names)
    left, side = MARGIN + longest + GAP, cell * len(class_names)
    top = 2 * MARGIN + len(CAPTION) * 18 + longest + GAP
    far = longest + GAP if many else 0
    widest = MARGIN + max(round(font(13).getlength(line)) for line in CAPTION)
    size = max(left + side + far, widest) + MARGIN, top + side + far + MARGIN
    canvas = Image.new("RGB", size, BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    for row, line in enumerate(CAPTION):
        pen.text((MARGIN, MARGIN + row * 18), line, fill=QUIET_INK, font=font(13))
    draw_cells(pen, (left, top), shares, cell, letters)
    for place, name in enumerate(class_names):
        middle = (place + 0.5) * cell
        upright = upright_text(name, letters, cell)
        across = round(left + middle - upright.width / 2)
        pen.text((left - GAP, top + middle), name, fill=INK, font=letters, anchor="rm")
        canvas.paste(upright, (across, top - GAP - upright.height))
        if many:
            pen.text((left + side + GAP, top + middle), name, fill=INK, font=letters, anchor="lm")
            canvas.paste(upright, (across, top + side + GAP))
    return canvas


def draw_cells(
    pen: ImageDraw.ImageDraw, corner: tuple[int, int], shares: npt.NDArray[np.float64], cell: int, letters: Font
) -> None:
    """Draw the cells of a confusion matrix, shares above 0.5 % as numbers."""
    for (row, column), share in np.ndenumerate(shares):
        x, y = corner[0] + column * cell, corner[1] + row * cell
        pen.rectangle((x, y, x + cell - 1, y + cell - 1), fill=cell_colour(share), outline=GRID)
        if 100 * share > 0.5:
            ink = BACKGROUND if share > 0.4 else INK
            pen.text((x + cell / 2, y + cell / 2), f"{100 * share:.0f}", fill=ink, font=letters, anchor="mm")


def cell_colour(share: float) -> Colour:
    """Return the colour of a share; grey where no pixel is labelled so."""
    if np.isnan(share):
        return NO_LABELS
    red, green, blue = (round(value) for value in (EMPTY + share**FAINT * (FULL - EMPTY)).tolist())
    return red, green, blue


def upright_text(name: str, letters: Font, cell: int) -> Image.Image:
    """Write a name from the bottom to the top."""
    strip = Image.new("RGB", (max(1, round(letters.getlength(name))), cell - 2), BACKGROUND)
    ImageDraw.Draw(strip).text((0, strip.height / 2), name, fill=INK, font=letters, anchor="lm")
    return strip.rotate(90, expand=True)
