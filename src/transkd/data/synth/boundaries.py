"""Walls and fences that run along the street."""

from __future__ import annotations

from random import Random

import numpy as np

from .camera import NEAR
from .canvas import COVERED, LABEL_ONLY, Brush, Colour, Pixels
from .elevation import Elevation, draw_poster
from .labels import Label
from .palette import facade, metal, mixed, shaded, varied, vivid
from .site import Site

_MINIMUM = 0.5


def paint_wall(site: Site, x: float, start: float, stop: float) -> None:
    """Paint a free-standing wall at ``x``: plaster, brick or concrete, some with posters or graffiti."""
    dice, start = site.dice, max(start, 2 * NEAR)
    length = stop - start
    if length < _MINIMUM:
        return
    height, colour = dice.uniform(0.9, 3.6), mixed(facade(dice), (150, 148, 144), dice.random())
    wall = Elevation(
        length, height, int(min(400, 60 + 12 * length)), 90, colour, site.light.face(-1.0 if x > 0 else 1.0, 0.0)
    )
    wall.weather(dice, 0.08, dice.random() < 0.5)
    if dice.random() < 0.5:
        for i in range(int(length / 3) + 1):
            wall.rect(3 * i, 0, 3 * i + 0.12, height, shaded(colour, 0.75))
    if height > 2.0 and dice.random() < 0.5:
        for _ in range(dice.randint(1, 4)):
            _deface(wall, dice)
    wall.rect(0, height - 0.14, length, height, mixed(shaded(colour, 1.15), (232, 234, 240), site.light.snow))
    brush = Brush(Label.WALL, 0.7 * start + 0.3 * stop, 26)
    site.canvas.picture(site.quad(x, stop, x, start, 0.0, height), wall.pixels, brush)


def _deface(wall: Elevation, dice: Random) -> None:
    x = dice.random() * max(0.2, wall.length - 2)
    if dice.random() < 0.4:
        draw_poster(wall, dice, x, 0.2)
        return
    colour = vivid(dice)
    for _ in range(6):
        left, low = x + dice.random() * 2, dice.uniform(0.3, wall.height - 0.8)
        wall.rect(left, low, left + dice.uniform(0.1, 0.6), low + dice.uniform(0.1, 0.7), colour)


def paint_fence(site: Site, x: float, start: float, stop: float) -> None:
    """Paint a fence at ``x``: pickets, bars, wire mesh, boards or a crash barrier.

    What shows through the gaps keeps its colours, but all of the fence's area is labelled fence.
    """
    dice, start = site.dice, max(start, 2 * NEAR)
    length = stop - start
    if length < _MINIMUM:
        return
    kind = dice.choice(("pickets", "bars", "mesh", "boards", "barrier"))
    height = {"pickets": 1.0, "bars": 1.5, "mesh": 1.9, "boards": 1.7, "barrier": 0.8}[kind] * dice.uniform(0.8, 1.2)
    colour = metal(dice)
    if kind in ("pickets", "boards"):
        colour = varied(dice, dice.choice(((222, 220, 214), (128, 96, 66), (96, 78, 62))))
    colour = shaded(colour, site.light.face(-1.0 if x > 0 else 1.0, 0.0))
    pixels, cover = _weave(kind, length, colour)
    brush = Brush(Label.FENCE, 0.7 * start + 0.3 * stop, 14)
    low = 0.35 if kind == "barrier" else 0.0
    site.canvas.picture(site.quad(x, stop, x, start, low, height), pixels, brush, cover)
    if kind == "barrier":
        for i in range(int(length / 2.5)):
            z = start + 2.5 * i
            site.canvas.poly(site.quad(x, z, x + 0.12, z, 0.0, height), shaded(colour, 0.8), brush)


def _weave(kind: str, length: float, colour: Colour) -> tuple[Pixels, Pixels]:
    rows, columns = 48, int(min(900, 14 * length + 16))
    metres = np.arange(columns) * (length / columns)
    up = np.arange(rows)[:, None]
    rails = ((up > 6) & (up < 10)) | ((up > 34) & (up < 38))
    posts = np.mod(metres, 2.5)[None, :] < 0.16
    if kind == "pickets":
        solid = rails | (np.mod(metres, 0.22)[None, :] < 0.13) & (up > 2)
    elif kind == "bars":
        solid = rails | posts | (np.mod(metres, 0.18)[None, :] < 0.05)
    elif kind == "mesh":
        solid = (
            (up < 2)
            | posts
            | ((np.arange(columns)[None, :] + up) % 6 == 0)
            | ((np.arange(columns)[None, :] - up) % 6 == 0)
        )
    else:
        solid = np.ones((rows, columns), bool)
    shade = np.ones((rows, columns), np.float32)
    if kind == "boards":
        shade *= np.where(np.mod(metres, 0.3) < 0.04, 0.7, 1.0).astype(np.float32)
    if kind == "barrier":
        shade *= (0.85 + 0.25 * np.sin(np.arange(rows) / rows * 12))[:, None].astype(np.float32)
    pixels = np.zeros((rows, columns, 4), np.uint8)
    pixels[:, :, :3] = np.clip(shade[:, :, None] * np.array(colour, np.float32), 0, 255)
    return pixels, np.where(solid, np.uint8(COVERED), np.uint8(LABEL_ONLY))
