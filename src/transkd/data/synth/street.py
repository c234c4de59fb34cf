"""The street itself: its plan, sky and ground, and what borders it: buildings, walls, fences and hedges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from .canvas import FAR, LABEL_IDS, LEAVES, NEAR, Canvas, Colour, Face, Field, mixed, noise, pick, shaded

Footprint = tuple[float, float, float, float, float]  # of a shadow: x and z, half the size along each, height; metres

FLOOR = 3.1
_SURFACES = ("terrain", "sidewalk", "sidewalk", "road", "road")
_GRASS, _PAVING, _KERB, _ROAD, _MARK = range(5)
_FACADES = ((188, 176, 152), (158, 92, 74), (204, 198, 186), (142, 130, 116), (176, 140, 100), (120, 122, 126))
_ROOFS = ((136, 70, 54), (86, 84, 86), (108, 76, 62))
_FENCES = ((222, 220, 214), (128, 96, 66), (90, 94, 96), (60, 84, 66))


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a street, outwards from the kerb: ``sign`` is -1 on the left, 1 on the right; widths in metres."""

    sign: int
    kerb: float
    verge: float
    sidewalk: float
    yard: float
    parking: bool

    def out(self, metres: float) -> float:
        """Return x of what lies this far beyond the kerb."""
        return self.kerb + self.sign * metres


@dataclass(frozen=True, slots=True)
class Street:
    """A street along z, with x = 0 in the road's middle; ``crossing`` is z of a cross street's near and far edge."""

    kind: str
    lane: float
    lanes: int
    sides: tuple[Side, Side]
    crossing: tuple[float, float] | None
    end: float

    def in_crossing(self, z: float, margin: float = 1.0) -> bool:
        """Return whether ``z`` lies in the cross street, or nearer to it than ``margin`` metres."""
        return self.crossing is not None and self.crossing[0] - margin < z < self.crossing[1] + margin


def sample_street(dice: Random) -> Street:
    """Return a random street."""
    kind = dice.choices(("city", "suburb", "country"), (0.55, 0.3, 0.15))[0]
    lane, lanes = dice.uniform(2.9, 3.5), 2 if kind == "city" and dice.random() < 0.35 else 1
    start, end = dice.uniform(14, 55), dice.uniform(70, 190)
    sides = _sample_side(dice, kind, -1, lane * lanes), _sample_side(dice, kind, 1, lane * lanes)
    crossing = (start, start + dice.uniform(6.5, 12)) if dice.random() < 0.45 else None
    return Street(kind, lane, lanes, sides, crossing, end)


def _sample_side(dice: Random, kind: str, sign: int, lanes: float) -> Side:
    parking = dice.random() < {"city": 0.6, "suburb": 0.5, "country": 0.15}[kind]
    verge, sidewalk, yard = {
        "city": (dice.choice((0.0, 0.0, 1.8)), dice.uniform(2.0, 5.0), dice.choice((0.0, 0.0, 4.0))),
        "suburb": (dice.choice((0.0, 0.0, 1.5)), dice.uniform(1.4, 2.4), dice.uniform(2.0, 7.0)),
        "country": (dice.uniform(0.5, 4.0), dice.choice((0.0, 1.8)), dice.uniform(2.0, 8.0)),
    }[kind]
    return Side(sign, sign * (lanes + (2.1 if parking else 0.3)), verge, sidewalk, yard, parking)


def paint_sky(canvas: Canvas, street: Street, dice: Random) -> None:
    """Paint a gradient with clouds, and what closes the view: a skyline and woods."""
    light, horizon, width, height = canvas.light, canvas.horizon, canvas.width, canvas.height
    rows, columns = np.ogrid[:height, :width]
    fall = np.clip(rows / horizon, 0, 1) ** 1.3
    size = dice.uniform(80, 160) / width
    clouds = noise(rows * size * 2 + dice.randrange(512), columns * size + dice.randrange(512))
    clouds = cv2.blur(clouds, (int(2 / size),) * 2) - np.float32(dice.uniform(-0.3, 1.2))
    clouds = np.clip(clouds, 0, 1) * np.float32(light.skyline[2] * dice.uniform(0.1, 0.5))
    gradient = np.array(light.zenith) * (1 - fall) + np.array(light.skyline) * fall
    canvas.image[:] = np.clip(gradient[:, None] + clouds[:, :, None], 0, 255)
    base = horizon + canvas.focal * canvas.eye / street.end
    label, colours = ("building", _FACADES) if street.kind == "city" else ("vegetation", LEAVES)
    for tall in (0.15, 0.1, 0.05):
        left, bumps = dice.uniform(-0.5, 0.8) * width, dice.randint(5, 20)
        steps = [(left + width * i / bumps, horizon - tall * height * dice.uniform(0.3, 1.0)) for i in range(bumps)]
        outline = ((left, base), *steps, (steps[-1][0], base))
        canvas.fill(outline, canvas.ink(shaded(pick(dice, colours), 0.85), label, street.end))


def paint_ground(canvas: Canvas, street: Street, dice: Random, footprints: Iterable[Footprint]) -> None:
    """Paint road, marks, sidewalks and terrain, and the shadows of ``footprints`` on them."""
    top = max(0, int(canvas.horizon + canvas.focal * canvas.eye / FAR) + 1)
    rows, columns = np.ogrid[top : canvas.height, : canvas.width]
    z = (canvas.focal * canvas.eye / (rows - canvas.horizon)).astype(np.float32)
    x = (columns - canvas.centre).astype(np.float32) * (z / canvas.focal) + canvas.offset - canvas.curve * z * z
    surface, near = _surfaces(street, x, z), np.minimum(9.0 / z, 1.0)
    grit, blotches = noise(z * 60, x * 90), noise(z * 5, x * 9)
    factor = 1 + (0.05 + 0.05 * (surface == _GRASS)) * blotches + (0.07 + 0.1 * (surface == _GRASS)) * near * grit
    factor -= ((surface == _PAVING) & ((np.mod(x, 0.6) < 0.04) | (np.mod(z, 0.6) < 0.05))) * 0.15 * near
    factor *= 1 - _shadows(canvas, footprints)[top:]
    grass = pick(dice, ((96, 112, 60), (112, 118, 70), (130, 116, 80)))
    paving = pick(dice, ((146, 140, 134), (128, 126, 126), (158, 146, 132)))
    road = pick(dice, ((88, 88, 90), (104, 102, 100), (74, 76, 80)))
    colours = (grass, paving, shaded(paving, 1.2), road, mixed(road, (232, 230, 222), dice.uniform(0.45, 1.0)))
    canvas.image[top:] = np.clip(np.array(colours, np.float32)[surface] * factor[:, :, None], 0, 255)
    canvas.labels[top:] = np.array([LABEL_IDS[name] for name in _SURFACES], np.uint8)[surface]
    canvas.distance[top:] = z


def _surfaces(street: Street, x: Field, z: Field) -> NDArray[np.uint8]:
    """Return what lies at each place of the ground."""
    surface = np.full(x.shape, _GRASS, np.uint8)
    for side in street.sides:
        out = (x - side.kerb) * side.sign
        paved = (out >= side.verge) & (out < side.verge + side.sidewalk)
        if street.kind == "city":
            paved |= out > side.verge + side.sidewalk + side.yard
        surface[paved] = _PAVING
        surface[(out >= 0) & (out < 0.16)] = _KERB
    left, right = street.sides
    road = (x > left.kerb) & (x < right.kerb)
    surface[road] = _ROAD
    away, dashes = np.abs(x), np.mod(z, 9.0) < 4.0
    surface[(away < 0.07) & (dashes | (street.lanes > 1))] = _MARK
    surface[road & dashes & (np.abs(away % street.lane) < 0.06) & (away > 1)] = _MARK
    if street.crossing is not None:
        start, stop = street.crossing
        surface[~road & (z > start - 2.6) & (z < stop + 2.6)] = _PAVING
        surface[((z > start) & (z < stop))[:, 0]] = _ROAD
        surface[road & (z > start - 4) & (z < start - 0.8) & (np.mod(x, 1.0) < 0.5)] = _MARK
    return surface


def _shadows(canvas: Canvas, footprints: Iterable[Footprint]) -> Field:
    """Return how dark each pixel is for shadows: those of the sun, and the soft ones under things."""
    light = canvas.light
    cast, under = np.zeros_like(canvas.labels), np.zeros_like(canvas.labels)
    for x, z, half_x, half_z, height in footprints:
        corners = [(x + i * half_x, z + j * half_z) for i in (-1, 1) for j in (-1, 1)]
        far = [(a - light.sun[0] * height, b - light.sun[1] * height) for a, b in corners]
        for layer, points, strength in ((cast, corners + far, 0.5 * light.contrast), (under, corners, 0.45)):
            flat = np.array([canvas.at(a, 0.0, b) for a, b in points]).astype(np.int32)
            cv2.fillConvexPoly(layer, cv2.convexHull(flat), 255 * strength)
    soft = cv2.blur(under, (canvas.height // 80 + 1,) * 2)
    return np.asarray(np.maximum(cast, soft) / np.float32(255))


def paint_building(
    canvas: Canvas, dice: Random, side: int, x: float, start: float, stop: float, depth: float, floors: int, roof: float
) -> None:
    """Paint a building whose street face lies at ``x``: its roof, the face towards the camera and the street face."""
    light, wall, height = canvas.light, pick(dice, _FACADES), FLOOR * floors + 1.2
    outer, ridge = x + side * depth, x + side * depth / 2
    bay, wide, tall = dice.uniform(1.8, 3.6), dice.uniform(0.4, 0.85), dice.uniform(0.45, 0.7)
    start = max(start, 2.5, 0.75 * abs(x - canvas.offset) * canvas.focal / canvas.width)
    if stop < start + 0.5:
        return
    slope = [(x, height, start), (ridge, height + roof, start), (ridge, height + roof, stop), (x, height, stop)]
    canvas.shape(slope, shaded(pick(dice, _ROOFS), light.on_face(-side * 0.7, 0.0)), "building")
    canvas.shape([*slope[:2], (outer, height, start)], shaded(wall, light.on_face(0.0, -1.0)), "building")
    for (x0, z0), (x1, z1), bright in (
        ((x, start), (outer, start), light.on_face(0.0, -1.0)),
        ((x, stop), (x, start), light.on_face(-side, 0.0)),
    ):
        corners = ((x0, 0.0, z0), (x0, height, z0), (x1, height, z1), (x1, 0.0, z1))
        bays = max(1, int((abs(x1 - x0) + abs(z1 - z0)) / bay))
        _paint_facade(Face(canvas, "building", corners, bright), dice, wall, (floors, bays), (wide, tall))


def _paint_facade(face: Face, dice: Random, wall: Colour, grid: tuple[int, int], window: tuple[float, float]) -> None:
    """Paint a wall with a grid of (floors, bays) windows; some mirror the sky, and shops reach down to the ground."""
    (floors, bays), (wide, tall), skyline = grid, window, face.canvas.light.skyline
    storey, shops = FLOOR / (FLOOR * floors + 1.2), floors > 2 and dice.random() < 0.6
    for low, high, bright in ((0, 1, 1.0), (1 - 0.1 * storey, 1, 1.15), (0, 0.2 * storey, 0.75)):
        face.panel(0, low, 1, high, shaded(wall, bright))
    for floor in range(floors):
        for bay in range(bays):
            pane = mixed((50, 56, 62), skyline, max(0.0, 1.5 * dice.random() - 0.9))
            left, right = (bay + 0.5 - wide / 2) / bays, (bay + 0.5 + wide / 2) / bays
            low = 0.1 if shops and floor == 0 else floor + 0.4
            face.panel(left, low * storey, right, (floor + 0.4 + tall) * storey, pane)


def paint_border(canvas: Canvas, dice: Random, fence: bool, x: float, start: float, stop: float) -> None:
    """Paint a fence of rails and bars, or a wall with pillars, that runs along the street at ``x``."""
    start, height, colour = max(start, 2 * NEAR), dice.uniform(0.8, 2.4), pick(dice, _FENCES if fence else _FACADES)
    length, step = stop - start, dice.choice((0.25, 0.4, 2.5)) if fence else 3.0
    if length < step:
        return
    corners = ((x, 0.0, start), (x, height, start), (x, height, stop), (x, 0.0, stop))
    face = Face(canvas, "fence" if fence else "wall", corners, canvas.light.on_face(-1.0 if x > 0 else 1.0, 0.0))
    face.panel(0, 0, 1, 1, shaded(mixed(colour, LEAVES[0], 0.7), 0.7) if fence else colour)
    for low in (0.15, 0.45, 0.85) if fence else (0.9,):
        face.panel(0, low, 1, low + 0.1, shaded(colour, 1.1))
    for i in range(int(length / step)):
        face.panel(i * step / length, 0, (i * step + min(0.4 * step, 0.15)) / length, 1, shaded(colour, 0.9))
