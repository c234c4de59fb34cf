"""What predictions look like: colours of classes, overlays, colour maps, panels side by side."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from PIL import Image

from transkd.evaluation.class_match import plain_name
from transkd.evaluation.pictures import Colour, Ids, Pixels, above_legend, titled_row
from transkd.prediction.network import Prediction, resize

GOLDEN_RATIO = (5**0.5 - 1) / 2
SHADES = ((0.85, 0.95), (0.55, 0.75), (0.95, 0.60), (0.40, 0.95))
LEAST_PANEL, MOST_PANEL = 256, 960
"""Widths in pixels that panels side by side are brought to."""
MOST_PANEL_HEIGHT = 1920
"""A higher panel is as narrow as it takes."""
LEAST_LEGEND = 240
"""A narrower picture gets a legend of this width."""
GREY = 128

Entry = tuple[str, Colour]
"""Name and colour of a class in a legend."""


@dataclass(frozen=True)
class Classes:
    """The classes that a segmenter predicts.

    Attributes:
        names: one a class.
        colours: one a class.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]

    @cached_property
    def table(self) -> Pixels:
        """The colours as an array (K, 3)."""
        return np.array(self.colours, np.uint8)

    def entries(self, ids: Ids | None) -> list[Entry]:
        """Return name and colour of the classes that occur in ``ids``; of all for None."""
        occurring = range(len(self.names)) if ids is None else np.flatnonzero(np.bincount(ids.ravel())).tolist()
        return [(self.names[index], self.colours[index]) for index in occurring]


def class_names(names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """Return a segmenter's class names, "class 0" and so on where it has none."""
    return tuple(names) if names is not None else tuple(f"class {index}" for index in range(count))


def distinct_colours(count: int) -> tuple[Colour, ...]:
    """Return distinct colours, the same ones each time: hues a golden section of the circle apart.

    Any number of first ones are spread evenly over the hues; saturation and value change from one to the next.
    """
    colours: dict[Colour, None] = {}
    index = 0
    while len(colours) < count:
        saturation, value = SHADES[index % len(SHADES)]
        red, green, blue = colorsys.hsv_to_rgb(index * GOLDEN_RATIO % 1, saturation, value)
        colours[round(255 * red), round(255 * green), round(255 * blue)] = None
        index += 1
    return tuple(colours)


def colours_by_name(names: Sequence[str], legends: Sequence[Mapping[str, Colour]]) -> tuple[Colour, ...] | None:
    """Colour classes as the legend that knows most of their names does.

    Args:
        names: one a class.
        legends: name -> colour, one mapping a dataset. Letter case, spaces, hyphens and underscores do not count.

    Returns:
        One colour a class, distinct ones for those that the legend lacks; None where no legend knows half of them.
    """
    named = [plain_name(name) for name in names]
    plain_legends = [{plain_name(name): colour for name, colour in legend.items()} for legend in legends]
    known = max(plain_legends, key=lambda legend: sum(name in legend for name in named), default={})
    if 2 * sum(name in known for name in named) < len(named):
        return None
    taken = set(known.values())
    spare = iter([colour for colour in distinct_colours(len(taken) + len(named)) if colour not in taken])
    return tuple(known[name] if name in known else next(spare) for name in named)


def text_height(width: int) -> int:
    """Return the height of text beside a picture of some width, in pixels: readable when all of it is on a screen."""
    return min(max(round(width / 75), 13), 48)


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

    def colours(self, ids: Ids) -> Pixels:
        """Return the colours (H, W, 3) of class ids (H, W)."""
        pixels: Pixels = self.classes.table[ids]
        return pixels

    def overlay(self, image: Pixels, prediction: Prediction, *, every_class: bool = False) -> Pixels:
        """Return a picture (H, W, 3) under its classes' colours, above a legend in these colours over grey.

        The legend names every class, or those that occur.
        """
        blended = np.asarray(cv2.addWeighted(image, 1 - self.opacity, self.colours(prediction.ids), self.opacity, 0))
        if not self.legend:
            return blended
        entries = self.classes.entries(None if every_class else prediction.ids)
        shown = np.rint(GREY * (1 - self.opacity) + self.opacity * np.array([colour for _, colour in entries]))
        mixed = [(name, (int(r), int(g), int(b))) for (name, _), (r, g, b) in zip(entries, shown, strict=True)]
        return framed(Image.fromarray(blended), mixed, text_height(image.shape[1]))


def compare(
    image: Pixels, predictions: Sequence[Prediction], drawers: Sequence[Drawer], *, every_class: bool = False
) -> Pixels:
    """Return a picture (H, W, 3) and the colour maps of one or two segmenters side by side, above a legend.

    Panels are ``LEAST_PANEL`` to ``MOST_PANEL`` pixels wide. The legend names every class, or those that occur.
    """
    height, width = image.shape[:2]
    factor = min(min(max(width, LEAST_PANEL), MOST_PANEL) / width, MOST_PANEL_HEIGHT / height)
    size = max(1, round(height * factor)), max(1, round(width * factor))
    titles = [drawer.title for drawer in drawers]
    if len(drawers) == 2 and drawers[0].classes.names == drawers[1].classes.names:
        titles[1] += f"  (the same in {100 * np.mean(predictions[0].ids == predictions[1].ids):.1f} %)"
    panels = [("image", Image.fromarray(resize(image, size)))]
    entries: dict[Entry, None] = {}
    for title, prediction, drawer in zip(titles, predictions, drawers, strict=True):
        ids = cv2.resize(prediction.ids, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
        panels.append((title, Image.fromarray(drawer.colours(np.asarray(ids)))))
        entries |= dict.fromkeys(drawer.classes.entries(None if every_class else prediction.ids))
    letters = text_height(2 * size[1])
    row = titled_row(panels, letters)
    return framed(row, list(entries), letters) if drawers[0].legend else np.asarray(row)


def framed(picture: Image.Image, entries: Sequence[Entry], letters: int) -> Pixels:
    """Return a picture above a legend of its width."""
    return np.asarray(above_legend(picture, entries, width=max(picture.width, LEAST_LEGEND), letters=letters))
