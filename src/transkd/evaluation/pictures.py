"""Pictures: image, label and predictions side by side above a legend of classes; confusion matrices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Colour = tuple[int, int, int]
Palette = Sequence[Colour]
Pixels = npt.NDArray[np.uint8]
Ids = npt.NDArray[np.integer]
Scene = tuple[Pixels, Mapping[str, Ids]]
"""An image (H, W, 3) RGB, and title -> class ids (h, w) of each map beside it."""

BACKGROUND, INK = (255, 255, 255), (20, 20, 20)
LEGEND_MARGIN = 8
LETTERS, TITLE_HEIGHT = 15, 26
NOT_LABELLED, IGNORED = "not labelled", (0, 0, 0)
CAPTION = ("one row a label, one column a prediction:", "% of the pixels labelled so; grey: none is")
EMPTY, FULL, NO_LABELS = np.array(BACKGROUND), np.array([23, 66, 122]), (228, 228, 228)
GAP, MANY = 6, 40
"""Pixels around names; matrices of more classes have small cells without numbers."""
FAINT = 0.6
"""Shares are drawn by this power of them, so that a confusion of 5 % is seen."""


def colourise(classes: Ids, palette: Palette) -> Pixels:
    """Return class ids (H, W) as colours (H, W, 3); ids without a colour (ignored pixels) are black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    colours: Pixels = table[np.clip(classes, 0, 255).astype(np.uint8)]
    return colours


def scene_picture(
    image: Pixels, classes: Mapping[str, Ids], class_names: Sequence[str], palette: Palette, *, panel_width: int = 384
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
    scenes: Iterable[Scene], class_names: Sequence[str], palette: Palette, *, panel_width: int = 256, columns: int = 1
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
        size = panel_width, panel_height(panel_width, image.shape[:2])
        panels = [("image", Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))]
        for title, ids in classes.items():
            panels.append((title, Image.fromarray(colourise(ids, palette)).resize(size, Image.Resampling.NEAREST)))
        cells.append(titled_row(panels))
        seen.update(np.unique(np.concatenate([ids.ravel() for ids in classes.values()])).tolist())
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    width = LEGEND_MARGIN + max(sum(cell.width - LEGEND_MARGIN for cell in row) for row in rows)
    sheet = Image.new("RGB", (width, sum(max(cell.height for cell in row) for row in rows)), BACKGROUND)
    top = 0
    for row in rows:
        left = 0
        for cell in row:
            sheet.paste(cell, (left, top))
            left += cell.width - LEGEND_MARGIN
        top += max(cell.height for cell in row)
    entries = [(class_names[index], palette[index]) for index in sorted(seen) if index < len(class_names)]
    entries += [(NOT_LABELLED, IGNORED)] if max(seen) >= len(class_names) else []
    return above_legend(sheet, entries, width=width, letters=LETTERS)


def panel_height(panel_width: int, size: tuple[int, ...]) -> int:
    """Return the height of a panel of an image of ``size`` (height, width)."""
    return max(1, round(panel_width * size[0] / size[1]))


def titled_row(panels: Sequence[tuple[str, Image.Image]], letters: int = LETTERS) -> Image.Image:
    """Lay pictures of one size side by side under their titles, with a margin on both sides of each and below.

    Args:
        panels: title and picture of each.
        letters: height of the titles' text in pixels.
    """
    width, height = panels[0][1].size
    top, margin = round(1.7 * letters), LEGEND_MARGIN
    row = Image.new("RGB", (len(panels) * (margin + width) + margin, top + height + margin), BACKGROUND)
    pen = ImageDraw.Draw(row)
    for column, (title, panel) in enumerate(panels):
        left = LEGEND_MARGIN + column * (LEGEND_MARGIN + width)
        pen.text((left, 4), shortened(title, width, letters), fill=INK, font=font(letters))
        row.paste(panel, (left, top))
    return row


def cut_scene(picture: Image.Image, panels: int, image_size: tuple[int, int]) -> list[Image.Image] | None:
    """Cut what :func:`scene_picture` made into its panels, image first, and its legend.

    Args:
        picture: the picture.
        panels: how many it has, the image included.
        image_size: height and width of the image that it was made of.

    Returns:
        The panels and the legend; None where the picture is not laid out so.
    """
    step, rest = divmod(picture.width - LEGEND_MARGIN, panels)
    width = step - LEGEND_MARGIN
    bottom = TITLE_HEIGHT + panel_height(width, image_size)
    if rest or width <= 0 or bottom + LEGEND_MARGIN > picture.height:
        return None
    lefts = [LEGEND_MARGIN + index * step for index in range(panels)]
    cut = [picture.crop((left, TITLE_HEIGHT, left + width, bottom)) for left in lefts]
    return [*cut, picture.crop((0, bottom + LEGEND_MARGIN, picture.width, picture.height))]


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return a font whose height is about ``size`` pixels.

    It is DejaVu Sans, which comes with matplotlib: Pillow's own has the letters of ASCII only, and class names have
    others (Straße, vélo, дорога).
    """
    matplotlib = find_spec("matplotlib")  # found, not imported: that takes a while
    folders = [] if matplotlib is None else matplotlib.submodule_search_locations or []
    files = [Path(folder, "mpl-data/fonts/ttf/DejaVuSans.ttf") for folder in folders]
    file = next((file for file in files if file.is_file()), None)
    return ImageFont.load_default(size=size) if file is None else ImageFont.truetype(str(file), size)


def shortened(text: str, width: int, size: int) -> str:
    """Return a text, or as much of its end as fits a width in pixels after an ellipsis."""
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(f"…{text}") > width:
        text = text[1:]
    return f"…{text}"


def above_legend(
    picture: Image.Image, entries: Sequence[tuple[str, Colour]], *, width: int, letters: int
) -> Image.Image:
    """Return a picture above the legend of its classes, which wraps; the narrower of the two is on white.

    Args:
        picture: the picture.
        entries: name and colour of each class.
        width: of the legend in pixels; it is wider only where a single name is.
        letters: height of the legend's text in pixels.
    """
    row, swatch, gap = round(letters * 20 / 13), round(letters * 12 / 13), round(letters * 5 / 13)
    corners: list[tuple[int, int]] = []
    left, top = LEGEND_MARGIN, picture.height + 2
    for name, _ in entries:
        entry = round(letters * 31 / 13) + int(font(letters).getlength(name))
        if left + entry > width and left > LEGEND_MARGIN:
            left, top = LEGEND_MARGIN, top + row
        corners.append((left, top))
        left += entry
        width = max(width, left)
    canvas = Image.new("RGB", (max(width, picture.width), top + row + 4), BACKGROUND)
    canvas.paste(picture, (0, 0))
    pen = ImageDraw.Draw(canvas)
    for (name, colour), (left, top) in zip(entries, corners, strict=True):
        pen.rectangle((left, top + 2, left + swatch, top + 2 + swatch), fill=colour, outline=INK)
        pen.text((left + swatch + gap, top), name, fill=INK, font=font(letters))
    return canvas


def confusion_picture(confusion: Tensor, class_names: Sequence[str]) -> Image.Image:
    """Draw a (K, K) confusion matrix, each row in percent of the pixels that are labelled so.

    Args:
        confusion: counts, rows are labels and columns predictions; a row without any is grey.
        class_names: K names.
    """
    counts = confusion.double().numpy()
    totals = counts.sum(1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    cell, letters = (12, font(9)) if len(class_names) > MANY else (32, font(12))
    side, beside = cell * len(class_names), max(round(letters.getlength(name)) for name in class_names) + 2 * GAP
    top, width = 18 * len(CAPTION) + beside, max(round(font(12).getlength(line)) for line in CAPTION)
    canvas = Image.new("RGB", (max(width, beside + side) + GAP, top + side + GAP), BACKGROUND)
    colours = np.where(np.isnan(shares[..., None]), NO_LABELS, EMPTY + shares[..., None] ** FAINT * (FULL - EMPTY))
    cells = Image.fromarray(np.rint(colours).astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST)
    canvas.paste(cells, (beside, top))
    upright = Image.new("RGB", (beside, side), BACKGROUND)
    pen, upright_pen = ImageDraw.Draw(canvas), ImageDraw.Draw(upright)
    for row, line in enumerate(CAPTION):
        pen.text((GAP, 2 + 18 * row), line, fill=INK, font=font(12))
    for number, name in enumerate(class_names):
        middle = (number + 0.5) * cell
        pen.text((beside - GAP, top + middle), name, fill=INK, font=letters, anchor="rm")
        upright_pen.text((GAP, middle), name, fill=INK, font=letters, anchor="lm")
    canvas.paste(upright.rotate(90, expand=True), (beside, top - beside))
    for (row, column), share in np.ndenumerate(shares):
        if share > 0.005 and len(class_names) <= MANY:
            middles = beside + (column + 0.5) * cell, top + (row + 0.5) * cell
            ink = BACKGROUND if share > 0.4 else INK
            pen.text(middles, f"{100 * share:.0f}", fill=ink, font=letters, anchor="mm")
    return canvas
