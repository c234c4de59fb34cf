"""Turns painted colours into what stands before the lens: light, lamps, haze, wet and snow."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import cv2
import numpy as np

from .canvas import SKY_CODE, distances
from .light import Light
from .noise import Field, patch
from .site import Site

_GLOW_GAIN = np.float32(1.1 / 255)


@dataclass(frozen=True, slots=True)
class View:
    """A canvas at the size of the scene.

    Attributes:
        image: (H, W, 3) float RGB; what follows changes it in place.
        distance: (H, W) metres.
        sky: (H, W) bool.
        grain: (H, W) roughness, in [0, 255].
        glow: (H, W) own light, 0 to 1.1.
        ground: (H, W), 1 where the ground lies bare.
        horizon: row of the horizon.
        centre: column of the vanishing point.
    """

    image: Field
    distance: Field
    sky: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    grain: Field
    glow: Field
    ground: Field
    horizon: float
    centre: float


def _view(site: Site, height: int, width: int) -> View:
    canvas = site.canvas
    image = cv2.resize(canvas.paint[:, :, :3], (width, height), interpolation=cv2.INTER_AREA)
    mean = cv2.resize(canvas.traits, (width, height), interpolation=cv2.INTER_AREA)
    codes = canvas.traits[:: canvas.height // height, :: canvas.width // width, 0]
    return View(
        image=image.astype(np.float32),
        distance=np.take(distances(), codes),
        sky=codes == SKY_CODE,
        grain=mean[:, :, 1].astype(np.float32),
        glow=mean[:, :, 2].astype(np.float32) * _GLOW_GAIN,
        ground=mean[:, :, 3].astype(np.float32) * np.float32(1 / 255),
        horizon=site.camera.horizon * height / canvas.height,
        centre=site.camera.centre * width / canvas.width,
    )


def develop(site: Site, height: int, width: int) -> Field:
    """Return the canvas as lit, hazy float RGB (height, width, 3), in [0, 255] and where lamps shine above."""
    view, light = _view(site, height, width), site.light
    fine = patch("leaf", site.dice, height, width)
    np.multiply(view.image, (1 + view.grain * fine * np.float32(1 / 500))[:, :, None], out=view.image)
    if light.time != "day":
        _dim(view, light, site.dice)
    _haze(view, light)
    if light.wet > 0.1:
        _mirror(view, light, site.dice)
    if light.dark or light.weather == "fog":
        _bloom(view)
    return view.image


def _dim(view: View, light: Light, dice: Random) -> None:
    """Darken all but the sky and what shines; at night add the town's lamps and the camera car's headlights."""
    height, width = view.distance.shape
    level = np.ones((height, width, 1), np.float32) * np.array(light.ambient, np.float32)
    if light.time == "night":
        columns = (np.arange(width, dtype=np.float32) - view.centre) / (0.3 * width)
        rows = (np.arange(height, dtype=np.float32) - view.horizon * 1.1) / (0.3 * height)
        beam = np.exp(-(columns[None, :] ** 2)) * np.exp(-(np.minimum(rows, 0.0)[:, None] ** 2) * 4)
        level += (beam * np.float32(0.5) * np.exp(-view.distance / 22))[:, :, None]
        town = np.float32(dice.uniform(0.08, 0.35)) * np.array((1.0, 0.85, 0.6), np.float32)
        level += np.clip(0.6 + 0.5 * patch("cloud", dice, height, width), 0, 1)[:, :, None] * town
    level[view.sky] = 1
    np.multiply(view.image, np.maximum(level, np.minimum(view.glow, 1.1)[:, :, None]), out=view.image)


def _haze(view: View, light: Light) -> None:
    share = 1 - np.exp(-view.distance / np.float32(light.visibility))
    share[view.sky] *= 0.6 if light.weather == "fog" else 0.0
    share *= 1 - 0.5 * np.minimum(view.glow, 1)
    image = view.image
    image += (np.array(light.skyline, np.float32) - image) * share[:, :, None]


def _mirror(view: View, light: Light, dice: Random) -> None:
    """Let wet ground mirror what stands above it."""
    height, width = view.distance.shape
    horizon = round(view.horizon)
    count = min(horizon, height - horizon)
    if count < 4:
        return
    above = cv2.blur(view.image[horizon - count : horizon][::-1], (3, max(3, count // 6) | 1))
    ground = view.ground[horizon : horizon + count]
    puddles = np.clip(0.5 + 0.45 * patch("blotch", dice, count, width), 0.1, 1.0)
    share = (np.float32(0.55 * light.wet) * ground * puddles)[:, :, None]
    below = view.image[horizon : horizon + count]
    below *= 1 - np.float32(0.35 * light.wet) * ground[:, :, None]
    below += (above - below) * share


def _bloom(view: View) -> None:
    """Spread the light of lamps."""
    height, width = view.glow.shape
    small = (max(8, width // 2), max(8, height // 2))
    lamps = view.image * np.maximum(view.glow - 0.3, 0)[:, :, None]
    shine = cv2.resize(lamps, small, interpolation=cv2.INTER_AREA)
    wide = cv2.GaussianBlur(shine, (0, 0), width / 45) * 1.6 + cv2.GaussianBlur(shine, (0, 0), width / 130) * 1.2
    image = view.image
    image += cv2.resize(wide, (width, height), interpolation=cv2.INTER_LINEAR)


def fall(image: Field, light: Light, dice: Random, rng: np.random.Generator) -> None:
    """Draw rain streaks or snow flakes over the image."""
    height, width = image.shape[:2]
    if light.weather == "rain":
        layer = np.zeros((height, width), np.uint8)
        slant, length = dice.gauss(0, 0.15), height / 14
        starts = rng.random((dice.randint(40, 260), 3))
        for x, y, size in starts:
            a = (int(x * width), int(y * height))
            b = (int(a[0] + slant * length * size), int(a[1] + length * size))
            cv2.line(layer, a, b, 255, 1)
        image += cv2.blur(layer, (1, 3)).astype(np.float32)[:, :, None] * np.float32(0.12)
    elif light.weather == "snow":
        layer = np.zeros((height, width), np.uint8)
        for x, y, size in rng.random((dice.randint(60, 400), 3)):
            radius = max(0, int(size**4 * height / 60))
            cv2.circle(layer, (int(x * width), int(y * height)), radius, 255, cv2.FILLED)
        veil = cv2.blur(layer, (2, 2)).astype(np.float32)[:, :, None] * np.float32(0.75 / 255)
        image += (np.float32(238 * max(0.35, light.ambient[0])) - image) * veil
