"""Turns painted colours into a photograph: light, lamps, haze, wet and snow, then the camera's own faults."""

from __future__ import annotations

from random import Random

import cv2
import numpy as np

from .canvas import SKY_CODE, Canvas, Pixels, distances
from .labels import Label
from .light import Light
from .noise import Field, patch
from .site import Site

_GLOW_GAIN = np.float32(1.1 / 255)


def develop(site: Site) -> Field:
    """Return the canvas as lit, hazy float RGB (H, W, 3) in [0, 255], at the canvas' size."""
    canvas, light = site.canvas, site.light
    image = canvas.paint[:, :, :3].astype(np.float32)
    _roughen(image, canvas, site.dice)
    distance = distances()[canvas.traits[:, :, 0]]
    glow = canvas.traits[:, :, 2].astype(np.float32) * _GLOW_GAIN
    if light.time != "day":
        _dim(image, canvas, site, distance, glow)
    _haze(image, canvas, light, distance, glow)
    if light.wet > 0.1:
        _mirror(image, site)
    if light.dark or light.weather == "fog":
        _bloom(image, glow)
    return image


def _roughen(image: Field, canvas: Canvas, dice: Random) -> None:
    grain = canvas.traits[:, :, 1].astype(np.float32) * np.float32(1 / 400)
    fine = patch("leaf", dice, canvas.height, canvas.width)
    image *= (1 + grain * fine)[:, :, None]


def _dim(image: Field, canvas: Canvas, site: Site, distance: Field, glow: Field) -> None:
    """Darken all but the sky and what shines; add the camera car's own headlights."""
    light, camera = site.light, site.camera
    level = np.ones((*distance.shape, 1), np.float32) * np.array(light.ambient, np.float32)
    if light.time == "night":
        columns = (np.arange(canvas.width, dtype=np.float32) - camera.centre) / (0.3 * canvas.width)
        rows = (np.arange(canvas.height, dtype=np.float32) - camera.horizon * 1.1) / (0.3 * canvas.height)
        beam = np.exp(-(columns[None, :] ** 2)) * np.exp(-(np.minimum(rows, 0.0)[:, None] ** 2) * 4)
        level += (beam * np.float32(0.5) * np.exp(-distance / 22))[:, :, None]
        town = np.float32(site.dice.uniform(0.05, 0.3)) * np.array((1.0, 0.85, 0.6), np.float32)
        level += np.clip(0.6 + 0.5 * patch("cloud", site.dice, *distance.shape), 0, 1)[:, :, None] * town
    level[canvas.traits[:, :, 0] == SKY_CODE] = 1
    image *= np.maximum(level, np.minimum(glow, 1.1)[:, :, None])


def _haze(image: Field, canvas: Canvas, light: Light, distance: Field, glow: Field) -> None:
    share = 1 - np.exp(-distance / np.float32(light.visibility))
    share[canvas.traits[:, :, 0] == SKY_CODE] *= 0.0 if light.weather != "fog" else 0.6
    share *= 1 - 0.5 * np.minimum(glow, 1)
    haze = np.array(light.skyline, np.float32)
    image += (haze - image) * share[:, :, None]


def _mirror(image: Field, site: Site) -> None:
    """Let wet ground mirror what stands above it."""
    canvas, light = site.canvas, site.light
    horizon = round(site.camera.horizon)
    count = min(horizon, canvas.height - horizon)
    if count < 4:
        return
    above = cv2.blur(image[horizon - count : horizon][::-1], (3, max(3, count // 6) | 1))
    ground = canvas.traits[horizon : horizon + count, :, 3].astype(np.float32) * np.float32(1 / 255)
    puddles = np.clip(0.5 + 0.45 * patch("blotch", site.dice, count, canvas.width), 0.1, 1.0)
    share = (np.float32(0.55 * light.wet) * ground * puddles)[:, :, None]
    below = image[horizon : horizon + count]
    below *= 1 - 0.35 * light.wet * ground[:, :, None]
    below += (above - below) * share


def _bloom(image: Field, glow: Field) -> None:
    """Spread the light of lamps."""
    height, width = glow.shape
    small = (max(8, width // 4), max(8, height // 4))
    shine = cv2.resize(image * np.maximum(glow - 0.3, 0)[:, :, None], small, interpolation=cv2.INTER_AREA)
    wide = cv2.GaussianBlur(shine, (0, 0), width / 90) * 1.6 + cv2.GaussianBlur(shine, (0, 0), width / 260) * 1.2
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


def photograph(image: Field, light: Light, dice: Random, rng: np.random.Generator) -> Pixels:
    """Return what a camera makes of a float RGB image: exposure, cast, blur, noise, compression.

    Args:
        image: (H, W, 3) in about [0, 255]; changed in place.
        light: night photographs are noisier.
        dice: scalar randomness.
        rng: sensor noise.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    cast = np.array([dice.gauss(1, 0.045) for _ in range(3)], np.float32)
    image *= cast * np.float32(dice.gauss(1.0, 0.13))
    image += np.float32(dice.gauss(0, 5))
    if dice.random() < 0.5:
        rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        columns = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
        image *= (1 - np.float32(dice.uniform(0.05, 0.3)) * (rows * rows + columns * columns) / 2)[:, :, None]
    sigma = abs(dice.gauss(0, 0.5)) * width / 512
    if sigma > 0.25:
        image = cv2.GaussianBlur(image, (0, 0), sigma).astype(np.float32, copy=False)
    noise = dice.uniform(1.0, 6.0) + (dice.uniform(3, 9) if light.time == "night" else 0)
    image += rng.standard_normal((height, width, 1), np.float32) * np.float32(noise)
    image += rng.standard_normal((height, width, 3), np.float32) * np.float32(noise * 0.4)
    flat = np.clip(image, 0, 255)
    gamma = np.exp(dice.gauss(0, 0.13))
    table = (255 * (np.arange(256) / 255) ** gamma).round().astype(np.uint8)
    pixels = table[flat.astype(np.uint8)]
    return _compress(pixels, dice.randint(35, 95)) if dice.random() < 0.6 else pixels


def _compress(pixels: Pixels, quality: int) -> Pixels:
    _, packed = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)


def paint_bonnet(canvas: Canvas, light: Light, dice: Random) -> None:
    """Paint the bonnet of the camera's own car along the lower edge."""
    height, width = canvas.height, canvas.width
    shade = dice.uniform(20, 120) * max(0.4, light.face(0, -1))
    from .canvas import Brush

    brush = Brush(Label.EGO_VEHICLE, 1.5, 4)
    rise = dice.uniform(0.05, 0.11)
    canvas.ellipse((width * 0.5, height * 1.02), (width * 0.62, height * rise), (shade, shade, shade * 1.05), brush)
