"""Where pictures, panels, titles and legends stand, and how large they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from transkd.evaluation.legend import BACKGROUND, INK, MARGIN, font, shortened
from transkd.evaluation.pictures import Pixels

LEAST_PANEL, MOST_PANEL = 256, 960
"""Widths in pixels that panels side by side are brought to."""
MOST_PANEL_HEIGHT = 1920
"""A higher panel is as narrow as it takes; its column keeps ``LEAST_PANEL`` for the title."""
LEAST_LEGEND = 240
"""A narrower picture gets a legend of this width, and is enlarged to it."""


def stacked(upper: Pixels, lower: Pixels) -> Pixels:
    """Return two pictures one above the other, the narrower one on white."""
    width = max(upper.shape[1], lower.shape[1])
    canvas = np.full((upper.shape[0] + lower.shape[0], width, 3), BACKGROUND, np.uint8)
    canvas[: upper.shape[0], : upper.shape[1]] = upper
    canvas[upper.shape[0] :, : lower.shape[1]] = lower
    return canvas


def enlarged(pixels: Pixels) -> Pixels:
    """Return a picture that is narrower than ``LEAST_LEGEND`` a whole number of times larger, each pixel a square."""
    height, width = pixels.shape[:2]
    times = max(1, min(-(-LEAST_LEGEND // width), MOST_PANEL_HEIGHT // height))
    larger: Pixels = pixels.repeat(times, axis=0).repeat(times, axis=1)
    return larger


def panel_size(image: Pixels) -> tuple[int, int]:
    """Return height and width of a picture's panels."""
    height, width = image.shape[:2]
    factor = min(min(max(width, LEAST_PANEL), MOST_PANEL) / width, MOST_PANEL_HEIGHT / height)
    return max(1, round(height * factor)), max(1, round(width * factor))


def text_size(width: int) -> int:
    """Return the text's height for a picture of some width, in pixels: readable when all of it is on a screen."""
    return min(max(round(width / 75), 13), 48)


def title_size(panel_width: int) -> int:
    """Return the height of the text above and below panels, in pixels."""
    return 13 if panel_width < 480 else 16 if panel_width < 800 else 22


def side_by_side(panels: Sequence[Pixels], titles: Sequence[str]) -> Pixels:
    """Return panels of one size in a row, each under its title."""
    height, width = panels[0].shape[0], _column(panels[0].shape[1])
    size = title_size(width)
    top = round(1.7 * size)
    canvas = Image.new("RGB", (row_width(width, len(panels)), top + height + MARGIN), BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    for column, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        left = MARGIN + column * (width + MARGIN)
        pen.text((left, 3), shortened(title, width, size), fill=INK, font=font(size))
        canvas.paste(Image.fromarray(panel), (left, top))
    return np.asarray(canvas)


def row_width(panel_width: int, count: int) -> int:
    """Return the width of panels side by side, margins included."""
    return count * (_column(panel_width) + MARGIN) + MARGIN


def _column(panel_width: int) -> int:
    return max(panel_width, LEAST_PANEL)
