"""A canvas that draws colours and labels with the same strokes, so that they cannot disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

import cv2
import numpy as np
from numpy.typing import NDArray

from .camera import FAR, Point

Colour = tuple[float, float, float]
Pixels = NDArray[np.uint8]

SKY_CODE = 255
LABEL_ONLY = 128
COVERED = 255
_SHIFT = 3
_CODES_PER_OCTAVE = 28.0
_LIMIT = 20_000


def encode_distance(z: float) -> int:
    """Return the canvas code of a distance in metres: logarithmic, 255 is infinitely far."""
    return min(254, int(_CODES_PER_OCTAVE * log2(1.0 + max(z, 0.0))))


def distances() -> NDArray[np.float32]:
    """Return the (256,) table from distance code to metres."""
    table = np.exp2(np.arange(256, dtype=np.float32) / np.float32(_CODES_PER_OCTAVE)) - 1
    table[SKY_CODE] = 4 * FAR
    return np.asarray(table, np.float32)


@dataclass(frozen=True, slots=True)
class Brush:
    """What a stroke is, besides its colour: class, distance in metres, roughness and own light (0 to 255)."""

    label: int
    distance: float
    grain: int = 0
    glow: int = 0

    def traits(self) -> tuple[int, int, int, int]:
        """Return the values of the canvas' trait channels."""
        return encode_distance(self.distance), self.grain, self.glow, 0

    def lit(self, glow: int) -> Brush:
        """Return the same brush giving light."""
        return Brush(self.label, self.distance, self.grain, glow)


class Canvas:
    """Two (H, W, 4) uint8 arrays: ``paint`` is RGB and label; ``traits`` is distance code, grain, glow, ground."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.paint: Pixels = np.zeros((height, width, 4), np.uint8)
        self.traits: Pixels = np.zeros((height, width, 4), np.uint8)

    def poly(self, points: Sequence[Point], colour: Colour, brush: Brush) -> None:
        """Fill a polygon."""
        corners = [_fixed(points)]
        cv2.fillPoly(self.paint, corners, (*colour, brush.label), shift=_SHIFT)
        cv2.fillPoly(self.traits, corners, brush.traits(), shift=_SHIFT)

    def rect(self, left: float, top: float, right: float, bottom: float, colour: Colour, brush: Brush) -> None:
        """Fill an upright rectangle."""
        self.poly(((left, top), (right, top), (right, bottom), (left, bottom)), colour, brush)

    def line(self, start: Point, end: Point, width: float, colour: Colour, brush: Brush) -> None:
        """Draw a line with round ends, ``width`` pixels wide and at least one."""
        first, last = _fixed((start, end))
        thickness = max(1, round(width))
        a, b = (int(first[0]), int(first[1])), (int(last[0]), int(last[1]))
        cv2.line(self.paint, a, b, (*colour, brush.label), thickness, shift=_SHIFT)
        cv2.line(self.traits, a, b, brush.traits(), thickness, shift=_SHIFT)

    def ellipse(self, centre: Point, radii: Point, colour: Colour, brush: Brush, thickness: float = 0.0) -> None:
        """Draw an upright ellipse, filled or (with a thickness in pixels) as a ring."""
        (x, y), scale = centre, 1 << _SHIFT
        if abs(x) > _LIMIT or abs(y) > _LIMIT:
            return
        middle = (round(x * scale), round(y * scale))
        axes = (max(1, round(radii[0] * scale)), max(1, round(radii[1] * scale)))
        stroke = max(1, round(thickness)) if thickness else cv2.FILLED
        cv2.ellipse(self.paint, middle, axes, 0, 0, 360, (*colour, brush.label), stroke, shift=_SHIFT)
        cv2.ellipse(self.traits, middle, axes, 0, 0, 360, brush.traits(), stroke, shift=_SHIFT)

    def picture(self, corners: Sequence[Point], picture: Pixels, brush: Brush, cover: Pixels | None = None) -> None:
        """Paste a flat picture into a four-sided area in perspective.

        Args:
            corners: where its top left, top right, bottom right and bottom left go.
            picture: (h, w, 4) uint8: RGB and glow.
            brush: class, distance and grain of it all.
            cover: (h, w): ``COVERED`` is painted, ``LABEL_ONLY`` keeps the colours behind (the gaps of a
                fence), 0 is not there. ``None`` covers everything.
        """
        target = np.array(corners, np.float32)
        left, top = (int(v) for v in np.floor(np.maximum(target.min(axis=0), 0)))
        right = int(min(np.ceil(target[:, 0].max()) + 1, self.width))
        bottom = int(min(np.ceil(target[:, 1].max()) + 1, self.height))
        if right <= left or bottom <= top or np.abs(target).max() > _LIMIT:
            return
        height, width = picture.shape[:2]
        source = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32) - 0.5
        local = target - np.array((left, top), np.float32)
        size = (right - left, bottom - top)
        try:
            matrix = cv2.getPerspectiveTransform(source, local)
        except cv2.error:
            return
        warped = cv2.warpPerspective(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        shape = np.zeros((size[1], size[0]), np.uint8)
        cv2.fillPoly(shape, [_fixed([(float(x), float(y)) for x, y in local])], 255, shift=_SHIFT)
        if cover is not None:
            shape &= cv2.warpPerspective(cover, matrix, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        self._put(slice(top, bottom), slice(left, right), warped, shape, brush)

    def sprite(self, centre: Point, size: Point, picture: Pixels, brush: Brush, cover: Pixels) -> None:
        """Paste a picture upright around ``centre``, ``size`` pixels wide and high; arguments as in ``picture``."""
        width, height = max(1, round(size[0])), max(1, round(size[1]))
        left, top = round(centre[0] - width / 2), round(centre[1] - height / 2)
        x0, y0, x1, y1 = (
            max(left, 0),
            max(top, 0),
            min(left + width, self.width),
            min(top + height, self.height),
        )
        if x1 <= x0 or y1 <= y0 or max(width, height) > 4 * max(self.width, self.height):
            return
        inner = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
        resized = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)[inner].copy()
        shape = cv2.resize(cover, (width, height), interpolation=cv2.INTER_NEAREST)[inner].copy()
        self._put(slice(y0, y1), slice(x0, x1), resized, shape, brush)

    def _put(self, rows: slice, columns: slice, picture: Pixels, shape: Pixels, brush: Brush) -> None:
        code, grain, _, _ = brush.traits()
        paint, traits = self.paint[rows, columns], self.traits[rows, columns]
        surface = np.empty_like(picture)
        surface[:] = (code, grain, 0, 0)
        surface[:, :, 2] = picture[:, :, 3]
        picture[:, :, 3] = brush.label
        gaps = shape == LABEL_ONLY
        if gaps.any():
            picture[gaps, :3] = paint[gaps, :3]
        cv2.copyTo(picture, shape, paint)
        cv2.copyTo(surface, shape, traits)


def _fixed(points: Sequence[Point]) -> NDArray[np.int32]:
    scale, limit = 1 << _SHIFT, _LIMIT << _SHIFT
    corners = [
        (max(-limit, min(limit, round(x * scale))), max(-limit, min(limit, round(y * scale)))) for x, y in points
    ]
    return np.array(corners, np.int32)
