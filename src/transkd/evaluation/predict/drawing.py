"""What predictions look like: overlays, colour maps, panels side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from transkd.evaluation.legend import BACKGROUND, INK, MARGIN, SteadyLegend, font, legend_strip
from transkd.evaluation.pictures import Pixels
from transkd.evaluation.predict.colours import Classes, Colour
from transkd.evaluation.predict.network import Prediction
from transkd.evaluation.predict.plan import Kind
from transkd.evaluation.predict.resizing import resize

LEAST_PANEL, MOST_PANEL = 256, 960
"""Widths in pixels that panels side by side are brought to."""
MOST_PANEL_HEIGHT = 1920
"""A higher panel is as narrow as it takes; its column keeps ``LEAST_PANEL`` for the title."""
STEADY_ROWS = 8
"""A video's legend may have so many rows even where they are more than a third of its height."""
LEAST_LEGEND = 240
"""A narrower picture gets a legend of this width."""


@dataclass(frozen=True)
class Drawer:
    """Draws the predictions of one segmenter.

    Attributes:
        title: what panels call the segmenter.
        classes: names and colours.
        opacity: of the colours over the picture, 0 to 1.
        legend: whether a legend stands below.
    """

    title: str
    classes: Classes
    opacity: float = 0.5
    legend: bool = True

    def colours(self, prediction: Prediction) -> Pixels:
        """Return the colour map (H, W, 3)."""
        pixels: Pixels = self.classes.table[prediction.ids]
        return pixels

    def overlay(self, image: Pixels, prediction: Prediction, steady: SteadyLegend | None = None) -> Pixels:
        """Return the picture under its classes' colours, above the legend.

        Args:
            image: (H, W, 3).
            prediction: of the picture.
            steady: the legend of a video, which keeps its size.
        """
        blended = cv2.addWeighted(image, 1 - self.opacity, self.colours(prediction), self.opacity, 0)
        return self._above_legend(blended, text_size(image.shape[1]), [(self, prediction)], steady)

    def compare(
        self,
        image: Pixels,
        prediction: Prediction,
        other: tuple[Drawer, Prediction] | None = None,
        steady: SteadyLegend | None = None,
    ) -> Pixels:
        """Return the picture and the colour maps of one or two segmenters side by side, above the legend.

        Args:
            image: (H, W, 3); panels are no wider than ``MOST_PANEL``.
            prediction: of this drawer's segmenter.
            other: the second segmenter's drawer and prediction.
            steady: the legend of a video.
        """
        shown = [(self, prediction), *([other] if other else [])]
        titles = ["image", *(drawer.title for drawer, _ in shown)]
        if other and other[0].classes.names == self.classes.names:
            same = float(np.mean(prediction.ids == other[1].ids))
            titles[-1] += f"  (the same in {100 * same:.1f} %)"
        size = panel_size(image)
        panels = [resize(image, size)]
        for drawer, found in shown:
            ids = cv2.resize(found.ids, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
            panels.append(drawer.classes.table[ids])
        return self._above_legend(_side_by_side(panels, titles), title_size(size[1]), shown, steady)

    def steady_legend(self, kind: Kind, image: Pixels, others: Sequence[Drawer] = ()) -> SteadyLegend | None:
        """Return the legend for the frames of a video, or None where they have none.

        Args:
            kind: what is drawn.
            image: the first frame (H, W, 3).
            others: of the second segmenter.
        """
        if not self.legend or kind == "colour":
            return None
        entries = _entries([self, *others])
        height, width = panel_size(image) if kind == "compare" else (image.shape[0], image.shape[1])
        size = title_size(width) if kind == "compare" else text_size(width)
        if kind == "compare":
            width = _row_width(width, 2 + len(others))
        names, colours = [name for name, _ in entries], [colour for _, colour in entries]
        tallest = max(height // 3, STEADY_ROWS * 2 * size)
        return SteadyLegend(names, colours, max(width, LEAST_LEGEND), size, tallest)

    def _above_legend(
        self,
        pixels: Pixels,
        letters: int,
        shown: Sequence[tuple[Drawer, Prediction]],
        steady: SteadyLegend | None,
    ) -> Pixels:
        if not self.legend:
            return pixels
        seen = {entry for drawer, prediction in shown for entry in drawer._seen(prediction)}
        entries = [entry for entry in _entries([drawer for drawer, _ in shown]) if entry in seen]
        width = pixels.shape[1]
        if steady is not None:
            places = {entry: place for place, entry in enumerate(zip(steady.names, steady.colours, strict=True))}
            strip = steady.strip([places[entry] for entry in entries])
        else:
            names, colours = [name for name, _ in entries], [colour for _, colour in entries]
            strip = legend_strip(names, colours, max(width, LEAST_LEGEND), text_size=letters)
        return stacked(pixels, np.asarray(strip))

    def _seen(self, prediction: Prediction) -> list[tuple[str, Colour]]:
        ids = np.flatnonzero(np.bincount(prediction.ids.ravel(), minlength=len(self.classes.names)))
        return [self.classes.entries[index] for index in ids]


def confidence_pixels(prediction: Prediction) -> npt.NDArray[np.uint8]:
    """Return confidences (H, W) as grey, 0 for 0 and 255 for 1."""
    assert prediction.confidence is not None
    return np.rint(255 * prediction.confidence).astype(np.uint8)


def stacked(upper: Pixels, lower: Pixels) -> Pixels:
    """Return two pictures one above the other, the narrower one on white."""
    width = max(upper.shape[1], lower.shape[1])
    canvas = np.full((upper.shape[0] + lower.shape[0], width, 3), BACKGROUND, np.uint8)
    canvas[: upper.shape[0], : upper.shape[1]] = upper
    canvas[upper.shape[0] :, : lower.shape[1]] = lower
    return canvas


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


def _side_by_side(panels: Sequence[Pixels], titles: Sequence[str]) -> Pixels:
    height, width = panels[0].shape[0], _column(panels[0].shape[1])
    size = title_size(width)
    top = round(1.7 * size)
    canvas = Image.new("RGB", (_row_width(width, len(panels)), top + height + MARGIN), BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    for column, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        left = MARGIN + column * (width + MARGIN)
        pen.text((left, 3), _shortened(title, width, size), fill=INK, font=font(size))
        canvas.paste(Image.fromarray(panel), (left, top))
    return np.asarray(canvas)


def _row_width(panel_width: int, count: int) -> int:
    return count * (_column(panel_width) + MARGIN) + MARGIN


def _column(panel_width: int) -> int:
    return max(panel_width, LEAST_PANEL)


def _shortened(title: str, width: int, size: int) -> str:
    if font(size).getlength(title) <= width:
        return title
    while title and font(size).getlength(f"…{title}") > width:
        title = title[1:]
    return f"…{title}"


def _entries(drawers: Sequence[Drawer]) -> list[tuple[str, Colour]]:
    return list(dict.fromkeys(entry for drawer in drawers for entry in drawer.classes.entries))
