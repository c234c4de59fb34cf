"""What predictions look like: colours of classes, overlays, colour maps, panels side by side."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from transkd.evaluation.class_match import plain_name
from transkd.evaluation.pictures import (
    BACKGROUND,
    INK,
    LEGEND_MARGIN,
    Colour,
    Pixels,
    SteadyLegend,
    font,
    legend_strip,
    shortened,
)
from transkd.prediction import Kind
from transkd.prediction.network import Prediction, resize

GOLDEN_RATIO = (5**0.5 - 1) / 2
SHADES = ((0.85, 0.95), (0.55, 0.75), (0.95, 0.60), (0.40, 0.95))
LEAST_PANEL, MOST_PANEL = 256, 960
"""Widths in pixels that panels side by side are brought to."""
MOST_PANEL_HEIGHT = 1920
"""A higher panel is as narrow as it takes; its column keeps ``LEAST_PANEL`` for the title."""
LEAST_LEGEND = 240
"""A narrower picture gets a legend of this width, and is enlarged to it."""
STEADY_ROWS = 8
"""A video's legend may have so many rows even where they are more than a third of its height."""

Entry = tuple[str, Colour]
"""Name and colour of a class in a legend."""
Mix = Callable[[Sequence[Entry]], list[Colour]]
"""From a legend's classes to their colours in the picture above it."""


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
    def entries(self) -> tuple[tuple[str, Colour], ...]:
        """Name and colour of each class."""
        return tuple(zip(self.names, self.colours, strict=True))

    @cached_property
    def table(self) -> Pixels:
        """The colours as an array (K, 3)."""
        return np.array(self.colours, np.uint8)


def class_names(names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """Return a segmenter's class names, "class 0" and so on where it has none."""
    return tuple(names) if names is not None else tuple(f"class {index}" for index in range(count))


def distinct_colours(count: int) -> tuple[Colour, ...]:
    """Return colours that are told apart, the same ones each time: hues a golden section of the circle apart.

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
    height, width = panels[0].shape[0], column_width(panels[0].shape[1])
    size = title_size(width)
    top = round(1.7 * size)
    canvas = Image.new("RGB", (row_width(width, len(panels)), top + height + LEGEND_MARGIN), BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    for column, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        left = LEGEND_MARGIN + column * (width + LEGEND_MARGIN)
        pen.text((left, 3), shortened(title, width, size), fill=INK, font=font(size))
        canvas.paste(Image.fromarray(panel), (left, top))
    return np.asarray(canvas)


def row_width(panel_width: int, count: int) -> int:
    """Return the width of panels side by side, margins included."""
    return count * (column_width(panel_width) + LEGEND_MARGIN) + LEGEND_MARGIN


def column_width(panel_width: int) -> int:
    """Return the width of a panel's column, which keeps room for a title."""
    return max(panel_width, LEAST_PANEL)


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

        The legend shows each class as it looks in the picture, where its colour and the picture are mixed.

        Args:
            image: (H, W, 3); one narrower than ``LEAST_LEGEND`` is enlarged, unless it has no legend.
            prediction: of the picture.
            steady: the legend of a video, which keeps its size; classes look there as where they first occurred.
        """
        blended = cv2.addWeighted(image, 1 - self.opacity, self.colours(prediction), self.opacity, 0)
        shown_size = enlarged(blended) if self.legend and steady is None else blended
        mix = partial(self.mixed, blended, prediction)
        return self.above_legend(shown_size, text_size(shown_size.shape[1]), [(self, prediction)], steady, mix)

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
        return self.above_legend(side_by_side(panels, titles), title_size(size[1]), shown, steady)

    def steady_legend(self, kind: Kind, image: Pixels, others: Sequence[Drawer] = ()) -> SteadyLegend | None:
        """Return the legend for the frames of a video, or None where they have none.

        Args:
            kind: what is drawn.
            image: the first frame (H, W, 3).
            others: of the second segmenter.
        """
        if not self.legend or kind == "colour":
            return None
        entries = all_entries([self, *others])
        height, width = panel_size(image) if kind == "compare" else (image.shape[0], image.shape[1])
        size = title_size(width) if kind == "compare" else text_size(width)
        if kind == "compare":
            width = row_width(width, 2 + len(others))
        names, colours = [name for name, _ in entries], [colour for _, colour in entries]
        tallest = max(height // 3, STEADY_ROWS * 2 * size)
        return SteadyLegend(names, colours, max(width, LEAST_LEGEND), size, tallest)

    def above_legend(
        self,
        pixels: Pixels,
        letters: int,
        shown: Sequence[tuple[Drawer, Prediction]],
        steady: SteadyLegend | None,
        mix: Mix | None = None,
    ) -> Pixels:
        """Return a picture above the legend of the classes that occur in it, each in its own colour or as mixed."""
        if not self.legend:
            return pixels
        mix = mix or (lambda entries: [colour for _, colour in entries])
        occurring = {entry for drawer, prediction in shown for entry in drawer.occurring(prediction)}
        entries = [entry for entry in all_entries([drawer for drawer, _ in shown]) if entry in occurring]
        if steady is None:
            width = max(pixels.shape[1], LEAST_LEGEND)
            strip = legend_strip([name for name, _ in entries], mix(entries), width, text_size=letters)
            return stacked(pixels, np.asarray(strip))
        known = list(zip(steady.names, steady.colours, strict=True))
        numbers = [known.index(entry) for entry in entries]
        new = steady.lacks(numbers)
        strip = steady.strip(numbers, dict(zip(new, mix([known[number] for number in new]), strict=True)))
        return stacked(pixels, np.asarray(strip))

    def mixed(self, blended: Pixels, prediction: Prediction, entries: Sequence[Entry]) -> list[Colour]:
        """Return what classes that occur look like mixed with the picture: the mean over the pixels of each."""
        numbers = [self.classes.entries.index(entry) for entry in entries]
        means = [blended[prediction.ids == number].mean(0) for number in numbers]
        return [(round(red), round(green), round(blue)) for red, green, blue in np.array(means).tolist()]

    def occurring(self, prediction: Prediction) -> list[Entry]:
        """Return the entries of the classes that occur."""
        counts = np.bincount(prediction.ids.ravel(), minlength=len(self.classes.names))
        return [self.classes.entries[int(index)] for index in np.flatnonzero(counts)]


def confidence_pixels(prediction: Prediction) -> npt.NDArray[np.uint8]:
    """Return confidences (H, W) as grey, 0 for 0 and 255 for 1."""
    assert prediction.confidence is not None
    return np.rint(255 * prediction.confidence).astype(np.uint8)


def all_entries(drawers: Sequence[Drawer]) -> list[Entry]:
    """Return the entries of all classes, one that several drawers have once."""
    return list(dict.fromkeys(entry for drawer in drawers for entry in drawer.classes.entries))
