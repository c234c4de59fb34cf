"""Paints the sky and what closes the view: hills, woods and a far skyline."""

from __future__ import annotations

from random import Random

import cv2
import numpy as np

from .canvas import SKY_CODE, Brush
from .labels import Label
from .noise import TILE, sample
from .palette import facade, grass, leaves, shaded
from .site import Site


def paint_sky(site: Site) -> None:
    """Fill the canvas with sky: a gradient and, as the weather has it, clouds and the sun's glow."""
    canvas, light, dice = site.canvas, site.light, site.dice
    height, width = canvas.height, canvas.width
    fall = np.clip(np.arange(height, dtype=np.float32) / max(site.camera.horizon, 1.0), 0, 1) ** 1.3
    zenith, skyline = np.array(light.zenith, np.float32), np.array(light.skyline, np.float32)
    column = zenith + (skyline - zenith) * fall[:, None]
    sky = np.repeat(column[:, None, :], width, axis=1)
    if light.weather != "fog":
        sky += _clouds(site, dice)[:, :, None]
    if light.contrast > 0.4 and light.sun[1] > 0.5:
        _add_sun(site, sky)
    canvas.paint[:, :, :3] = np.clip(sky, 0, 255)
    canvas.paint[:, :, 3] = Label.SKY
    canvas.traits[:] = (SKY_CODE, 0, 0, 0)


def _clouds(site: Site, dice: Random) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    canvas, light = site.canvas, site.light
    size = dice.uniform(140, 300) / canvas.width
    rows = np.arange(canvas.height, dtype=np.float32)
    stretch = rows * size * np.float32(1.6) + dice.randrange(TILE)
    columns = np.arange(canvas.width, dtype=np.float32) * size + dice.randrange(TILE)
    grid = np.meshgrid(columns, stretch)
    field = sample("cloud", grid[0].astype(np.float32), grid[1].astype(np.float32))
    if light.weather == "clear":
        amount = dice.uniform(-0.6, 1.6)
        strength = 70.0 if light.time == "day" else 22.0
        return np.asarray(np.clip(field - amount, 0, 1) * strength, np.float32)
    return np.asarray(field * (11.0 if light.time == "day" else 4.0), np.float32)


def _add_sun(site: Site, sky: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    canvas, light, camera = site.canvas, site.light, site.camera
    x = camera.centre + camera.focal * light.sun[0] / light.sun[1]
    y = camera.horizon - camera.focal / max(light.reach, 0.3)
    rows = np.arange(canvas.height, dtype=np.float32)[:, None] - y
    columns = np.arange(canvas.width, dtype=np.float32)[None, :] - x
    glow = np.exp(-np.sqrt(rows * rows + columns * columns) / (0.16 * canvas.width))
    sky += 120 * glow[:, :, None] * np.array((1.0, 0.95, 0.8), np.float32)
    if abs(x) < 4 * canvas.width and abs(y) < 4 * canvas.height:
        cv2.circle(sky, (round(x), round(y)), max(2, canvas.width // 60), (255.0, 252.0, 235.0), cv2.FILLED)


def paint_backdrop(site: Site) -> None:
    """Paint the far end of the view: some of hills, fields, woods and a skyline."""
    canvas, camera, dice, street = site.canvas, site.camera, site.dice, site.street
    horizon, width = camera.horizon, canvas.width
    base = horizon + camera.focal * camera.height / street.end
    if dice.random() < 0.35:
        label, colour = (
            (Label.VEGETATION, leaves(dice, street.autumn)) if dice.random() < 0.6 else (Label.TERRAIN, grass(dice))
        )
        _ridge(site, label, shaded(colour, 0.9), 0.09 * canvas.height, base, 300.0, 5)
    if street.kind in ("city", "avenue") or dice.random() < 0.4:
        for _ in range(dice.randint(6, 16)):
            x, wide = dice.uniform(-0.1, 1.0) * width, dice.uniform(0.02, 0.12) * width
            tall = dice.uniform(0.02, 0.13) * canvas.height
            brush = Brush(Label.BUILDING, street.end * dice.uniform(1.0, 1.6), 12)
            canvas.rect(x, horizon - tall, x + wide, base, shaded(facade(dice), 0.85), brush)
    if dice.random() < 0.7:
        colour = shaded(leaves(dice, street.autumn), 0.85)
        _ridge(site, Label.VEGETATION, colour, 0.045 * canvas.height, base, street.end, 40)
    elif dice.random() < 0.5:
        canvas.rect(
            -1,
            horizon - 0.01 * canvas.height,
            width,
            base,
            street.grass,
            Brush(Label.TERRAIN, street.end, 30),
        )


def _ridge(
    site: Site,
    label: Label,
    colour: tuple[float, float, float],
    height: float,
    base: float,
    z: float,
    bumps: int,
) -> None:
    dice, width = site.dice, site.canvas.width
    points = [(width + 9.0, base), (-9.0, base)]
    points += [(width * i / bumps, site.camera.horizon - height * dice.uniform(0.15, 1.0)) for i in range(bumps + 1)]
    site.canvas.poly(points, colour, Brush(label, z, 60))
