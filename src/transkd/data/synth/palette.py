"""Colours of things, drawn at random; families overlap on purpose, as they do in a street."""

from __future__ import annotations

from random import Random

from .canvas import Colour

_CARS = (
    (20, 20, 24),
    (60, 62, 66),
    (130, 132, 136),
    (188, 190, 194),
    (228, 228, 226),
    (140, 24, 28),
    (30, 52, 110),
)
_RARE_CARS = ((196, 168, 40), (44, 96, 60), (120, 84, 56), (200, 96, 30), (90, 150, 180))
_FACADES = (
    (196, 184, 160), (176, 160, 140), (150, 92, 72), (124, 70, 56), (206, 200, 190), (168, 168, 166), (140, 146, 152),
    (208, 182, 120), (150, 160, 136), (190, 150, 132), (100, 98, 96), (170, 190, 208), (222, 218, 210),
)  # fmt: skip
_CLOTHES = (
    (24, 24, 28), (40, 46, 70), (70, 72, 78), (120, 116, 110), (190, 186, 178), (150, 30, 36), (40, 80, 130),
    (60, 86, 58), (110, 76, 50), (200, 160, 60), (130, 60, 110), (226, 226, 222),
)  # fmt: skip
_TROUSERS = ((24, 24, 30), (40, 50, 84), (62, 64, 70), (96, 84, 66), (150, 140, 120), (70, 40, 34))
_SKIN = ((234, 192, 164), (214, 166, 134), (176, 124, 92), (122, 82, 60), (84, 58, 46))
_HAIR = ((28, 22, 20), (72, 50, 34), (140, 110, 66), (150, 146, 142))
_LEAVES = ((58, 84, 40), (76, 98, 46), (44, 68, 40), (96, 108, 52), (64, 92, 62))
_AUTUMN = ((158, 108, 40), (140, 74, 34), (120, 112, 46), (110, 92, 70))
_GRASS = ((92, 112, 56), (110, 120, 66), (84, 100, 60), (136, 126, 84), (120, 104, 78))
_PAVING = ((150, 146, 140), (136, 132, 130), (164, 150, 138), (120, 116, 116), (146, 118, 104))
_METAL = ((84, 88, 90), (110, 114, 116), (58, 60, 62), (52, 66, 58), (140, 142, 142))
_ROOFS = ((120, 64, 48), (92, 54, 46), (74, 74, 80), (58, 58, 62), (104, 92, 84))
_VIVID = (
    (190, 40, 40),
    (40, 70, 160),
    (230, 190, 50),
    (50, 120, 70),
    (230, 230, 230),
    (210, 110, 40),
    (120, 50, 110),
)


def shaded(colour: Colour, factor: float) -> Colour:
    """Return the colour made lighter or darker."""
    r, g, b = colour
    return min(255.0, r * factor), min(255.0, g * factor), min(255.0, b * factor)


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """Return the colour that lies ``share`` of the way from ``first`` to ``second``."""
    (r, g, b), (p, q, s) = first, second
    return r + (p - r) * share, g + (q - g) * share, b + (s - b) * share


def varied(dice: Random, colour: Colour, spread: float = 12.0) -> Colour:
    """Return a colour near ``colour``: another brightness and slightly another hue."""
    bright = dice.gauss(0.0, spread)
    r, g, b = (min(250.0, max(6.0, c + bright + dice.gauss(0.0, spread * 0.4))) for c in colour)
    return r, g, b


def car(dice: Random) -> Colour:
    """Return a car's paint: mostly greys, sometimes vivid."""
    return varied(dice, dice.choice(_CARS if dice.random() < 0.85 else _RARE_CARS))


def facade(dice: Random) -> Colour:
    """Return plaster, brick, stone or glass."""
    return varied(dice, dice.choice(_FACADES), 14.0)


def clothes(dice: Random) -> Colour:
    """Return the colour of a coat or shirt."""
    return varied(dice, dice.choice(_CLOTHES))


def trousers(dice: Random) -> Colour:
    """Return the colour of trousers or a skirt."""
    return varied(dice, dice.choice(_TROUSERS))


def skin(dice: Random) -> Colour:
    """Return a skin colour."""
    return varied(dice, dice.choice(_SKIN), 6.0)


def hair(dice: Random) -> Colour:
    """Return a hair colour."""
    return varied(dice, dice.choice(_HAIR), 6.0)


def leaves(dice: Random, autumn: bool) -> Colour:
    """Return the colour of foliage."""
    return varied(dice, dice.choice(_AUTUMN if autumn and dice.random() < 0.7 else _LEAVES), 10.0)


def grass(dice: Random) -> Colour:
    """Return the colour of grass or bare soil."""
    return varied(dice, dice.choice(_GRASS), 9.0)


def paving(dice: Random) -> Colour:
    """Return the colour of a pavement."""
    return varied(dice, dice.choice(_PAVING), 12.0)


def asphalt(dice: Random) -> Colour:
    """Return the colour of a road."""
    return varied(dice, (104.0, 103.0, 104.0) if dice.random() < 0.8 else (136.0, 130.0, 122.0), 16.0)


def metal(dice: Random) -> Colour:
    """Return the colour of a pole, rail or frame."""
    return varied(dice, dice.choice(_METAL), 8.0)


def roof(dice: Random) -> Colour:
    """Return tiles, slate or tin."""
    return varied(dice, dice.choice(_ROOFS), 10.0)


def vivid(dice: Random) -> Colour:
    """Return a strong colour: signs, awnings, buses, posters."""
    return varied(dice, dice.choice(_VIVID), 10.0)
