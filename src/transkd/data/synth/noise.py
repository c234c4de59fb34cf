"""Tileable noise: the grain of asphalt, plaster, leaves and clouds."""

from __future__ import annotations

from functools import cache
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

TILE = 512
Field = NDArray[np.float32]

_CELLS = {
    "cloud": (4, 8, 16, 32, 64),
    "leaf": (32, 64, 128, 256),
    "grit": (128, 256, 512),
    "blotch": (8, 32, 128),
}


@cache
def tile(kind: str) -> Field:
    """Return a (512, 512) tile of mean 0 and standard deviation 1 that continues over its edges.

    Args:
        kind: ``"cloud"``, ``"leaf"``, ``"grit"`` or ``"blotch"``, from coarse to fine structure.
    """
    rng = np.random.default_rng(sum(map(ord, kind)))
    total = np.zeros((TILE, TILE), np.float32)
    for octave, cells in enumerate(_CELLS[kind]):
        grid = rng.standard_normal((cells, cells)).astype(np.float32)
        wrapped = np.pad(grid, 2, mode="wrap")
        step = TILE // cells
        fine = cv2.resize(wrapped, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        total += fine[2 * step : 2 * step + TILE, 2 * step : 2 * step + TILE] * np.float32(0.62**octave)
    return np.ascontiguousarray((total - total.mean()) / total.std(), dtype=np.float32)


def patch(kind: str, dice: Random, height: int, width: int) -> Field:
    """Return a (height, width) piece of a tile from a random place."""
    source = tile(kind)
    top, left = dice.randrange(TILE), dice.randrange(TILE)
    if top + height <= TILE and left + width <= TILE:
        return source[top : top + height, left : left + width]
    rows = (np.arange(height) + top) % TILE
    columns = (np.arange(width) + left) % TILE
    return source[rows][:, columns]


def sample(kind: str, across: Field, along: Field) -> Field:
    """Return the tile's values at tile coordinates ``across`` and ``along``, both (H, W)."""
    return np.asarray(cv2.remap(tile(kind), across, along, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), np.float32)


@cache
def crown(number: int) -> tuple[Field, Field]:
    """Return one of the tree crowns: how solid it is and how lit, both (128, 128).

    Args:
        number: which crown; any integer from 0 to 23.

    Returns:
        Solidity (leaves where it exceeds a threshold near 0) and light in about [0.3, 1.1].
    """
    dice = Random(number)
    rows, columns = np.mgrid[-1:1:128j, -1:1:128j].astype(np.float32)
    solid = np.full((128, 128), -1.0, np.float32)
    light = np.full((128, 128), 0.55, np.float32)
    for _ in range(dice.randint(5, 11)):
        x, y, r = dice.uniform(-0.5, 0.5), dice.uniform(-0.5, 0.45), dice.uniform(0.28, 0.5)
        ball = 1 - ((columns - x) ** 2 + (rows - y) ** 2) / (r * r)
        light = np.where(ball > np.maximum(solid, -0.1), 0.7 - 0.35 * (rows - y) / r - 0.12 * (columns - x) / r, light)
        solid = np.maximum(solid, ball)
    solid = solid + 0.32 * patch("leaf", dice, 128, 128)
    light = light + 0.11 * patch("leaf", dice, 128, 128)
    return solid.astype(np.float32), light.astype(np.float32)
