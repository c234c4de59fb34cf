"""Pictures of scenes: image, label and predictions side by side, in the dataset's colours, with a legend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from transkd.evaluation.legend import BACKGROUND, INK, MARGIN, font, legend_strip, shortened

Pixels = npt.NDArray[np.uint8]
Palette = Sequence[tuple[int, int, int]]

Scene = tuple[Pixels, Mapping[str, npt.NDArray[np.integer]]]
"""An image (H, W, 3) RGB, and title -> class ids (h, w) of each map beside it."""

LETTERS, TITLE_HEIGHT = 15, 26
NOT_LABELLED, IGNORED = "not labelled", (0, 0, 0)


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
        cells.append(_panels(image, classes, palette, panel_width))
        seen.update(int(index) for ids in classes.values() for index in np.unique(ids))
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    width = MARGIN + max(sum(cell.width for cell in row) for row in rows)
    legend = _legend(sorted(seen), class_names, palette, width)
    height = sum(max(cell.height for cell in row) for row in rows)
    sheet = Image.new("RGB", (max(width, legend.width), height + legend.height), BACKGROUND)
    top = 0
    for row in rows:
        left = MARGIN
        for cell in row:
            sheet.paste(cell, (left, top))
            left += cell.width
        top += max(cell.height for cell in row)
    sheet.paste(legend, (0, top))
    return sheet


def _panels(
    image: Pixels, classes: Mapping[str, npt.NDArray[np.integer]], palette: Palette, panel_width: int
) -> Image.Image:
    """Draw an image and its class maps side by side under their titles, a margin to the right of each and below."""
    height = max(1, round(panel_width * image.shape[0] / image.shape[1]))
    size = (panel_width, height)
    panels = {"image": Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)}
    for title, ids in classes.items():
        panels[title] = Image.fromarray(colourise(ids, palette)).resize(size, Image.Resampling.NEAREST)
    canvas = Image.new("RGB", (len(panels) * (panel_width + MARGIN), TITLE_HEIGHT + height + MARGIN), BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    for column, (title, panel) in enumerate(panels.items()):
        left = column * (panel_width + MARGIN)
        pen.text((left, 4), shortened(title, panel_width, LETTERS), fill=INK, font=font(LETTERS))
        canvas.paste(panel, (left, TITLE_HEIGHT))
    return canvas


def _legend(seen: Sequence[int], class_names: Sequence[str], palette: Palette, width: int) -> Image.Image:
    entries = [(class_names[i], palette[i]) for i in seen if i < len(class_names)]
    if seen and seen[-1] >= len(class_names):
        entries.append((NOT_LABELLED, IGNORED))
    return legend_strip([name for name, _ in entries], [colour for _, colour in entries], width, text_size=LETTERS)
