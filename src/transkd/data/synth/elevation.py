"""Flat pictures of walls: brick and plaster, windows, doors, shop fronts, posters."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import cv2
import numpy as np

from .canvas import Colour, Pixels
from .light import Light
from .noise import patch
from .palette import clothes, mixed, shaded, skin, trousers, vivid


@dataclass(frozen=True, slots=True)
class Style:
    """How a building's faces look; lengths in metres."""

    colour: Colour
    floor: float
    bay: float
    window: tuple[float, float]
    frame: Colour
    glazed: bool
    bricks: bool
    shop: bool
    bands: bool
    balconies: bool


class Elevation:
    """A wall being drawn face on: metres from its left foot, y up."""

    def __init__(
        self, length: float, height: float, columns: int, rows: int, colour: Colour, bright: float = 1.0
    ) -> None:
        self.length, self.height, self._bright = length, height, bright
        colour = shaded(colour, bright)
        self.pixels: Pixels = np.empty((rows, columns, 4), np.uint8)
        self.pixels[:] = (*(int(c) for c in colour), 0)
        self._across, self._up = columns / length, rows / height

    def rect(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, glow: float = 0.0) -> None:
        """Fill a rectangle."""
        rows = self.pixels.shape[0]
        first = (round(x0 * self._across), round(rows - y1 * self._up))
        last = (round(x1 * self._across) - 1, round(rows - y0 * self._up) - 1)
        if last[0] >= first[0] and last[1] >= first[1]:
            cv2.rectangle(
                self.pixels, first, last, (*(colour if glow else shaded(colour, self._bright)), glow), cv2.FILLED
            )

    def weather(self, dice: Random, strength: float, bricks: bool) -> None:
        """Add stains, and courses of brick where they can be seen."""
        rows, columns = self.pixels.shape[:2]
        coarse = min(rows, 96), min(columns, 128)
        factor = 1 + np.float32(strength) * patch("blotch", dice, *coarse)
        stained = np.clip(factor[:, :, None] * self.pixels[0, 0].astype(np.float32), 0, 255).astype(np.uint8)
        self.pixels = cv2.resize(stained, (columns, rows), interpolation=cv2.INTER_LINEAR)
        if bricks and self._up > 9:
            joints = (np.arange(rows) / self._up % 0.28) < 0.06
            self.pixels[joints] = self.pixels[joints] // 8 * 7


def _pane(dice: Random, light: Light, style: Style) -> tuple[Colour, float]:
    """Return the colour and glow of a window pane: dark, mirroring the sky, curtained or lit."""
    chance = dice.random()
    if light.dark and chance < (0.45 if light.time == "night" else 0.25):
        return (dice.uniform(200, 255), dice.uniform(170, 225), dice.uniform(90, 170)), dice.uniform(110, 220)
    sky = mixed(light.skyline, light.zenith, dice.random()) if not light.dark else (60.0, 64.0, 76.0)
    if style.glazed or chance > 0.75:
        return mixed((40, 50, 58), sky, dice.uniform(0.35, 0.95)), 0.0
    if chance > 0.6:
        return shaded((206, 200, 186), dice.uniform(0.6, 1.0)), 0.0
    return shaded((48, 54, 60), dice.uniform(0.6, 1.5)), 0.0


def _windows(wall: Elevation, dice: Random, light: Light, style: Style, start: float) -> None:
    bays = max(1, int(wall.length / style.bay))
    step = wall.length / bays
    wide, tall = style.window[0] * step, style.window[1] * style.floor
    y = start
    while y + style.floor * 0.9 <= wall.height:
        if style.bands:
            wall.rect(0, y, wall.length, y + 0.25, shaded(style.colour, 0.8))
        low = y + (style.floor - tall) * 0.6
        for bay in range(bays):
            x = (bay + 0.5) * step - wide / 2
            colour, glow = _pane(dice, light, style)
            wall.rect(x - 0.12, low - 0.12, x + wide + 0.12, low + tall + 0.12, style.frame)
            wall.rect(x, low, x + wide, low + tall, colour, glow)
            if not style.glazed and tall > 1.2:
                wall.rect(x + wide / 2 - 0.05, low, x + wide / 2 + 0.05, low + tall, style.frame)
            if style.balconies and bay % 2 == 0:
                wall.rect(x - 0.4, y, x + wide + 0.4, y + 1.0, shaded(style.frame, 0.75))
        y += style.floor


def draw_poster(wall: Elevation, dice: Random, x: float, low: float) -> None:
    """Draw a poster of a person at ``x``, from ``low`` up: it is a wall all the same."""
    wide, tall = dice.uniform(1.0, 1.8), dice.uniform(1.7, 2.6)
    wall.rect(x, low, x + wide, low + tall, vivid(dice))
    middle, coat = x + wide / 2, clothes(dice)
    wall.rect(middle - 0.18, low + 0.1, middle + 0.18, low + 0.4 * tall, trousers(dice))
    wall.rect(middle - 0.26, low + 0.4 * tall, middle + 0.26, low + 0.78 * tall, coat)
    wall.rect(middle - 0.12, low + 0.79 * tall, middle + 0.12, low + 0.95 * tall, skin(dice))


def _street_level(wall: Elevation, dice: Random, light: Light, style: Style) -> None:
    x = dice.uniform(0.3, 1.5)
    glow = dice.uniform(90, 200) if light.dark and dice.random() < 0.7 else 0.0
    while style.shop and x + 2.2 < wall.length:
        wide = min(dice.uniform(2.2, 5.0), wall.length - x - 0.2)
        goods = (235.0, 220.0, 180.0) if glow else shaded((70, 76, 80), dice.uniform(0.6, 1.6))
        wall.rect(x, 0.4, x + wide, 2.6, goods, glow)
        for _ in range(dice.randint(1, 4)):
            left = x + dice.random() * (wide - 0.5)
            wall.rect(left, 0.4, left + dice.uniform(0.2, 0.6), dice.uniform(0.9, 2.0), clothes(dice), glow * 0.5)
        sign = vivid(dice)
        wall.rect(x, 2.65, x + wide, 3.25, sign, glow * 0.8)
        wall.rect(x + 0.2 * wide, 2.8, x + 0.75 * wide, 3.1, mixed(sign, (250, 250, 245), 0.8), glow)
        if dice.random() < 0.3:
            wall.rect(x - 0.1, 2.2, x + wide + 0.1, 2.7, vivid(dice))
        x += wide + dice.uniform(0.3, 2.5)
    if not style.shop:
        for _ in range(max(1, int(wall.length / 9))):
            x = dice.random() * max(0.1, wall.length - 2)
            wall.rect(x - 0.1, 0, x + 1.2, 2.4, style.frame)
            wall.rect(x, 0, x + 1.1, 2.25, shaded(vivid(dice), 0.55))
    if dice.random() < 0.2:
        draw_poster(wall, dice, dice.random() * max(0.1, wall.length - 2), 0.5)


def draw_elevation(
    dice: Random,
    light: Light,
    style: Style,
    length: float,
    height: float,
    columns: int,
    rows: int,
    bright: float,
) -> Pixels:
    """Draw the face of a building.

    Args:
        dice: randomness.
        light: lit windows and mirrored sky follow it.
        style: the building's.
        length: of the face in metres.
        height: of the face in metres.
        columns: of the picture.
        rows: of the picture.
        bright: factor on the unlit colours.

    Returns:
        (rows, columns, 4) uint8: RGB and glow.
    """
    wall = Elevation(length, height, columns, rows, style.colour, bright)
    wall.weather(dice, 0.05, style.bricks)
    start = 3.5 if style.shop else 0.2
    _windows(wall, dice, light, style, start)
    _street_level(wall, dice, light, style)
    wall.rect(0, height - 0.35, length, height, shaded(style.colour, 0.78))
    wall.rect(0, 0, length, 0.35, shaded(style.colour, 0.7))
    return wall.pixels
