"""A camera, the light, and a canvas whose strokes paint colour, class and distance at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi, sin
from random import Random
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from transkd.data.classes import CITYSCAPES, CITYSCAPES_LABEL_IDS

NEAR, FAR = 1.2, 400.0
LABEL_IDS = {CITYSCAPES.names[i]: raw for raw, i in CITYSCAPES_LABEL_IDS.items() if i != CITYSCAPES.ignore_index}
LEAVES = ((70, 96, 48), (56, 84, 50), (92, 108, 56), (48, 74, 40), (150, 106, 44))
_SHIFT = 3  # OpenCV's fixed point: eighths of a pixel

Colour = tuple[float, float, float]
Point = tuple[float, float]
Place = tuple[float, float, float]
Field = NDArray[np.float32]


def shaded(colour: Colour, factor: float) -> Colour:
    """Return a colour, brighter or darker."""
    return min(255.0, colour[0] * factor), min(255.0, colour[1] * factor), min(255.0, colour[2] * factor)


def mixed(first: Any, second: Any, share: float) -> Colour:
    """Return a colour (or a place) between two; ``share`` is the second's part."""
    x, y, z = first
    return x + (second[0] - x) * share, y + (second[1] - y) * share, z + (second[2] - z) * share


def pick(dice: Random, colours: Sequence[Colour]) -> Colour:
    """Return one of some colours, slightly varied in brightness and hue."""
    bright, colour = max(0.3, dice.gauss(1, 0.1)), dice.choice(colours)
    return shaded(mixed(colour, (dice.gauss(128, 40), dice.gauss(128, 40), dice.gauss(128, 40)), 0.1), bright)


@lru_cache(maxsize=1)
def _noise_tile() -> Field:
    rng, octaves = np.random.default_rng(0), (8, 16, 32, 64, 128, 256)
    grids = [rng.standard_normal((cells, cells), np.float32) / cells**0.4 for cells in octaves]
    tile: Field = np.mean(np.stack([cv2.resize(grid, (256, 256)) for grid in grids]), axis=0)
    return np.asarray(np.block([[tile, tile[:, ::-1]], [tile[::-1], tile[::-1, ::-1]]]) / tile.std())


def noise(rows: NDArray[Any], columns: NDArray[Any]) -> Field:
    """Return smooth noise of mean 0 and deviation 1 at coordinates that broadcast; it repeats after 512."""
    return np.asarray(_noise_tile()[rows.astype(np.int32) & 511, columns.astype(np.int32) & 511])


@dataclass(frozen=True, slots=True)
class Light:
    """Time of day and weather.

    ``level`` is a factor on all colours but the sky's, ``sun`` the unit vector (x, z) towards the sun, ``contrast`` the
    strength of its shadows, ``visibility`` the metres after which haze takes 63 % of a colour.
    """

    level: Colour
    sun: Point
    contrast: float
    zenith: Colour
    skyline: Colour
    visibility: float

    def on_face(self, x: float, z: float) -> float:
        """Return the brightness of an upright face whose normal points to (x, z)."""
        facing = max(0.0, x * self.sun[0] + z * self.sun[1])
        return 0.94 + self.contrast * (0.5 * facing - 0.38) - 0.05 * abs(x)


def sample_light(dice: Random) -> Light:
    """Return a random time and weather: day or dusk; clear, overcast or foggy."""
    skies = (
        ((72, 128, 196), (196, 212, 224), dice.uniform(0.6, 1.0), dice.uniform(500, 1500)),
        ((164, 170, 176), (206, 207, 206), 0.15, dice.uniform(250, 700)),
        ((182, 186, 188), (196, 197, 197), 0.05, dice.uniform(35, 90)),
    )
    zenith, skyline, contrast, visibility = dice.choices(skies, (0.55, 0.35, 0.1))[0]
    dusk, angle = dice.uniform(0.4, 0.9) if dice.random() < 0.25 else 0.0, dice.uniform(0, 2 * pi)
    level, sun = mixed((1.0, 1.0, 1.0), (0.45, 0.36, 0.4), dusk), (sin(angle), cos(angle))
    sky = mixed(zenith, (44, 46, 78), dusk), mixed(skyline, (206, 136, 94), dusk)
    return Light(level, sun, contrast * (1 - dusk), *sky, visibility)


class Canvas:
    """What is painted and how it is seen; metres are x to the right of the road's middle, y up and z ahead.

    Sky and ground are the background: one colour, class and distance a pixel. On it every stroke paints its number,
    under which its colour, class and distance are kept; so image and labels cannot disagree.

    Attributes:
        light: the light.
        focal: focal length in pixels; the vanishing point is in column ``centre`` and row ``horizon``.
        eye: metres of the camera above the road, and ``offset`` to the right of its middle; ``curve`` bends the road.
        image: (H, W, 3) float32 RGB of the background, with its (H, W) ``labels`` and ``distance`` in metres.
    """

    def __init__(self, dice: Random, height: int, width: int, lane: float, light: Light) -> None:
        self.height, self.width, self.light = height, width, light
        self.focal = (2.0 * height * width) ** 0.5 * dice.uniform(0.72, 1.0)
        self.centre, self.horizon = width * dice.gauss(0.5, 0.05), height * dice.uniform(0.38, 0.53)
        self.eye, self.offset, self.curve = dice.uniform(1.25, 1.75), lane + dice.gauss(0, 0.3), dice.gauss(0, 0.0009)
        self.image: Field = np.zeros((height, width, 3), np.float32)
        self.labels: NDArray[np.uint8] = np.full((height, width), LABEL_IDS["sky"], np.uint8)
        self.distance: Field = np.full((height, width), FAR, np.float32)
        self._numbers: NDArray[np.int32] = np.zeros((height, width), np.int32)
        self._strokes: list[tuple[float, ...]] = [(0.0,) * 5]

    def at(self, x: float, y: float, z: float) -> Point:
        """Return the pixel (column, row) of a place in metres; what lies behind the camera is moved before it."""
        z = max(z, NEAR)
        scale = self.focal / z
        return self.centre + (x - self.offset + self.curve * z * z) * scale, self.horizon + (self.eye - y) * scale

    def ink(self, colour: Colour, label: str, z: float) -> int:
        """Return the number of a new stroke: its colour, class and distance in metres."""
        self._strokes.append((*colour, LABEL_IDS[label], z))
        return len(self._strokes) - 1

    def fill(self, points: Sequence[Point], ink: int) -> None:
        """Fill a polygon given in pixels."""
        corners = (np.array(points) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(self._numbers, [corners], ink, shift=_SHIFT)

    def shape(self, places: Sequence[Place], colour: Colour, label: str) -> None:
        """Fill a polygon given in metres."""
        z = sum(place[2] for place in places) / len(places)
        self.fill([self.at(*place) for place in places], self.ink(colour, label, z))

    def line(self, first: Point, last: Point, width: float, ink: int) -> None:
        """Draw a line with round ends, ``width`` pixels wide and at least one."""
        cv2.line(self._numbers, _fixed(first), _fixed(last), ink, max(1, round(width)), shift=_SHIFT)

    def ellipse(self, centre: Point, radii: Point, ring: float, ink: int) -> None:
        """Draw an upright ellipse, filled or, with ``ring`` pixels, as an outline."""
        stroke = max(1, round(ring)) if ring else cv2.FILLED
        cv2.ellipse(self._numbers, _fixed(centre), _fixed(radii), 0, 0, 360, ink, stroke, shift=_SHIFT)

    def flatten(self) -> tuple[Field, NDArray[np.uint8], Field]:
        """Return (H, W, 3) RGB, (H, W) label ids and (H, W) metres, at half the canvas' size."""
        strokes, bare = np.array(self._strokes, np.float32), self._numbers == 0
        image = strokes[:, :3].astype(np.uint8)[self._numbers]
        image[bare] = self.image[bare]
        image = cv2.resize(image, (self.width // 2, self.height // 2), interpolation=cv2.INTER_AREA)
        numbers, bare = self._numbers[::2, ::2], bare[::2, ::2]
        labels = np.where(bare, self.labels[::2, ::2], strokes[:, 3].astype(np.uint8)[numbers])
        return image.astype(np.float32), labels, np.where(bare, self.distance[::2, ::2], strokes[:, 4][numbers])


@dataclass(frozen=True, slots=True)
class Face:
    """A flat thing, such as the side of a car: its bottom left, top left, top right and bottom right corner."""

    canvas: Canvas
    label: str
    corners: tuple[Place, Place, Place, Place]
    bright: float

    def panel(self, s0: float, t0: float, s1: float, t1: float, colour: Colour) -> None:
        """Fill the part from (s0, t0) to (s1, t1); (0, 0) is the bottom left, (1, 1) the top right."""
        a, b, c, d = self.corners
        low0, high0, low1, high1 = mixed(a, d, s0), mixed(b, c, s0), mixed(a, d, s1), mixed(b, c, s1)
        places = [mixed(low0, high0, t0), mixed(low0, high0, t1), mixed(low1, high1, t1), mixed(low1, high1, t0)]
        self.canvas.shape(places, shaded(colour, self.bright), self.label)


def _fixed(point: Point) -> tuple[int, int]:
    return int(point[0] * (1 << _SHIFT)), int(point[1] * (1 << _SHIFT))
