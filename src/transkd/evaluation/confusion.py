"""A confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from torch import Tensor

from transkd.evaluation.legend import BACKGROUND, INK, Colour, Font, font

CAPTION = ("one row a label, one column a prediction:", "% of the pixels labelled so; grey: none is")
EMPTY, FULL = np.array(BACKGROUND), np.array([23, 66, 122])
NO_LABELS, GRID, QUIET_INK = (228, 228, 228), (225, 225, 225), (90, 90, 90)
MARGIN, GAP = 10, 6
MANY = 40
"""With more classes, cells and letters are small, and names stand on all four sides."""
FAINT = 0.6
"""Shares are drawn by this power of them, so that a confusion of 5 % is seen."""


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
    _draw_cells(pen, (left, top), shares, cell, letters)
    for place, name in enumerate(class_names):
        middle = (place + 0.5) * cell
        upright = _upright(name, letters, cell)
        across = round(left + middle - upright.width / 2)
        pen.text((left - GAP, top + middle), name, fill=INK, font=letters, anchor="rm")
        canvas.paste(upright, (across, top - GAP - upright.height))
        if many:
            pen.text((left + side + GAP, top + middle), name, fill=INK, font=letters, anchor="lm")
            canvas.paste(upright, (across, top + side + GAP))
    return canvas


def _draw_cells(
    pen: ImageDraw.ImageDraw, corner: tuple[int, int], shares: npt.NDArray[np.float64], cell: int, letters: Font
) -> None:
    for (row, column), share in np.ndenumerate(shares):
        x, y = corner[0] + column * cell, corner[1] + row * cell
        pen.rectangle((x, y, x + cell - 1, y + cell - 1), fill=_colour(share), outline=GRID)
        if 100 * share > 0.5:
            ink = BACKGROUND if share > 0.4 else INK
            pen.text((x + cell / 2, y + cell / 2), f"{100 * share:.0f}", fill=ink, font=letters, anchor="mm")


def _colour(share: float) -> Colour:
    if np.isnan(share):
        return NO_LABELS
    red, green, blue = (round(value) for value in (EMPTY + share**FAINT * (FULL - EMPTY)).tolist())
    return red, green, blue


def _upright(name: str, letters: Font, cell: int) -> Image.Image:
    """Write a name from the bottom to the top."""
    strip = Image.new("RGB", (max(1, round(letters.getlength(name))), cell - 2), BACKGROUND)
    ImageDraw.Draw(strip).text((0, strip.height / 2), name, fill=INK, font=letters, anchor="lm")
    return strip.rotate(90, expand=True)
