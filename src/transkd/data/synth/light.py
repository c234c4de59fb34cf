"""Time of day, weather and the sun of a scene."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin, tan
from random import Random

from .canvas import Colour

_TIMES = (("day", 0.7), ("dusk", 0.14), ("night", 0.16))
_WEATHERS = (("clear", 0.42), ("overcast", 0.28), ("fog", 0.09), ("rain", 0.13), ("snow", 0.08))
_SKIES: dict[str, tuple[Colour, Colour]] = {
    "clear": ((72, 128, 196), (196, 212, 224)),
    "overcast": (((164, 170, 176)), (206, 207, 206)),
    "fog": ((182, 186, 188), (196, 197, 197)),
    "rain": ((118, 124, 130), (168, 171, 173)),
    "snow": ((190, 194, 200), (214, 216, 218)),
}
_DUSK: tuple[Colour, Colour] = ((74, 76, 118), (226, 156, 108))
_NIGHT: tuple[Colour, Colour] = ((10, 12, 22), (38, 34, 40))
_AMBIENT: dict[str, Colour] = {"day": (1.0, 1.0, 1.0), "dusk": (0.66, 0.55, 0.56), "night": (0.26, 0.25, 0.3)}


@dataclass(frozen=True, slots=True)
class Light:
    """What light and weather do to every surface.

    Attributes:
        time: ``"day"``, ``"dusk"`` or ``"night"``.
        weather: ``"clear"``, ``"overcast"``, ``"fog"``, ``"rain"`` or ``"snow"``.
        sun: horizontal direction towards the sun (x, z), of length 1.
        reach: metres of shadow that a metre of height casts.
        contrast: 0 (no shadows) to 1 (hard sun).
        ambient: factor on all colours, RGB.
        zenith: colour of the sky overhead.
        skyline: colour of the sky at the horizon, and of haze.
        visibility: metres after which haze takes 63 % of a colour.
        wet: 0 (dry) to 1 (the road mirrors).
        snow: 0 to 1, how much of the ground is white.
    """

    time: str
    weather: str
    sun: tuple[float, float]
    reach: float
    contrast: float
    ambient: Colour
    zenith: Colour
    skyline: Colour
    visibility: float
    wet: float
    snow: float

    @property
    def dark(self) -> bool:
        """Whether lamps and windows are lit."""
        return self.time != "day"

    def face(self, x: float, z: float) -> float:
        """Return the brightness of an upright face whose normal points to (x, z)."""
        facing = max(0.0, x * self.sun[0] + z * self.sun[1])
        return 0.94 - 0.38 * self.contrast + 0.5 * self.contrast * facing - 0.05 * abs(x)


def _weighted(dice: Random, choices: tuple[tuple[str, float], ...]) -> str:
    return dice.choices([name for name, _ in choices], [weight for _, weight in choices])[0]


def _sky(dice: Random, time: str, weather: str) -> tuple[Colour, Colour]:
    zenith, skyline = _SKIES[weather]
    share = {"day": 0.0, "dusk": 0.75 if weather == "clear" else 0.45, "night": 0.94}[time]
    top, low = _NIGHT if time == "night" else _DUSK
    warmth = dice.gauss(0.0, 6.0)
    bright = dice.gauss(1.0, 0.07)

    def blend(first: Colour, second: Colour) -> Colour:
        r, g, b = ((a + (b - a) * share) * bright for a, b in zip(first, second, strict=True))
        return min(252.0, max(2.0, r + warmth)), min(252.0, max(2.0, g)), min(252.0, max(2.0, b - warmth))

    return blend(zenith, top), blend(skyline, low)


def sample_light(dice: Random) -> Light:
    """Return a random time, weather and sun."""
    time, weather = _weighted(dice, _TIMES), _weighted(dice, _WEATHERS)
    azimuth, elevation = dice.uniform(0, 2 * pi), dice.uniform(0.25, 1.05)
    zenith, skyline = _sky(dice, time, weather)
    contrast = {"clear": dice.uniform(0.6, 1.0), "overcast": 0.15, "fog": 0.05, "rain": 0.08, "snow": 0.12}[weather]
    thick = {
        "clear": (500, 1500),
        "overcast": (250, 700),
        "fog": (28, 80),
        "rain": (110, 300),
        "snow": (80, 220),
    }
    return Light(
        time=time,
        weather=weather,
        sun=(sin(azimuth), cos(azimuth)),
        reach=min(3.0, 1 / tan(elevation)),
        contrast=contrast * {"day": 1.0, "dusk": 0.6, "night": 0.0}[time],
        ambient=_AMBIENT[time],
        zenith=zenith,
        skyline=skyline,
        visibility=dice.uniform(*thick[weather]),
        wet=dice.uniform(0.35, 1.0) if weather == "rain" else dice.choice((0.0, 0.0, 0.0, 0.25)),
        snow=dice.uniform(0.3, 0.95) if weather == "snow" else 0.0,
    )
