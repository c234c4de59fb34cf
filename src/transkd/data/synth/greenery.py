"""Trees, bushes and hedges."""

from __future__ import annotations

import numpy as np

from .camera import NEAR
from .canvas import COVERED, Brush, Colour, Pixels
from .labels import Label
from .noise import crown, patch
from .palette import leaves, mixed, shaded, varied
from .site import Site


def _crown(site: Site, colour: Colour, sparse: float, size: float) -> tuple[Pixels, Pixels]:
    solid, light = crown(site.dice.randrange(24))
    step = 1 if size > 90 else 2 if size > 24 else 4
    solid, light = solid[::step, ::step], light[::step, ::step]
    if site.dice.random() < 0.5:
        solid, light = solid[:, ::-1], light[:, ::-1]
    pixels = np.zeros((*solid.shape, 4), np.uint8)
    shade = np.clip(light * (1.0 + 0.15 * site.light.contrast), 0.12, 1.5)
    pixels[:, :, :3] = np.clip(shade[:, :, None] * np.array(colour, np.float32), 0, 255)
    return pixels, np.where(solid > sparse, np.uint8(COVERED), np.uint8(0))


def _foliage(site: Site) -> Colour:
    return mixed(leaves(site.dice, site.street.autumn), (226, 230, 236), 0.45 * site.light.snow)


def paint_tree(site: Site, x: float, z: float) -> None:
    """Paint a tree that stands at (x, z): round, tall, conical or bare."""
    dice, camera, canvas = site.dice, site.camera, site.canvas
    height, scale = dice.uniform(4.0, 11.0), camera.scale(z)
    shape = dice.choices(("round", "tall", "cone", "bare"), (0.5, 0.2, 0.14, 0.16))[0]
    wide = height * {"round": 0.72, "tall": 0.4, "cone": 0.4, "bare": 0.6}[shape]
    brush = Brush(Label.VEGETATION, z, 70)
    foot, bark = camera.at(x, 0, z), varied(dice, (82, 70, 58), 10)
    trunk = max(1.0, scale * dice.uniform(0.14, 0.34))
    lean = dice.gauss(0, 0.02) * height * scale
    head = (foot[0] + lean, foot[1] - 0.5 * height * scale)
    canvas.poly(
        [
            (foot[0] - trunk * 0.6, foot[1]),
            (head[0] - trunk * 0.3, head[1]),
            (head[0] + trunk * 0.3, head[1]),
            (foot[0] + trunk * 0.6, foot[1]),
        ],
        bark,
        brush,
    )
    if shape == "cone":
        _paint_cone(site, foot, height * scale, wide * scale, brush)
        return
    for _ in range(7 if shape == "bare" else 3):
        tip = (
            head[0] + dice.uniform(-0.45, 0.45) * wide * scale,
            foot[1] - dice.uniform(0.6, 1.0) * height * scale,
        )
        canvas.line(head, tip, trunk * 0.25, shaded(bark, 0.9), brush)
    if shape == "bare":
        pixels, cover = _crown(site, shaded(bark, 1.1), 0.55, height * scale)
    else:
        pixels, cover = _crown(site, _foliage(site), dice.uniform(-0.05, 0.2), height * scale)
    middle = (head[0], foot[1] - 0.66 * height * scale)
    canvas.sprite(middle, (1.15 * wide * scale, 0.8 * height * scale), pixels, brush, cover)


def _paint_cone(site: Site, foot: tuple[float, float], tall: float, wide: float, brush: Brush) -> None:
    colour = mixed((44, 66, 46), (226, 230, 236), 0.4 * site.light.snow)
    for layer in range(6):
        low, high = 0.1 + 0.13 * layer, 0.42 + 0.116 * layer
        half = wide * 0.5 * (1 - layer / 6.5)
        points = [
            (foot[0] - half, foot[1] - low * tall),
            (foot[0], foot[1] - high * tall),
            (foot[0] + half, foot[1] - low * tall),
        ]
        site.canvas.poly(points, shaded(colour, 0.8 + 0.08 * layer), brush)


def paint_bush(site: Site, x: float, z: float) -> None:
    """Paint a bush that stands at (x, z)."""
    scale, tall = site.camera.scale(z), site.dice.uniform(0.6, 2.2)
    wide = tall * site.dice.uniform(0.9, 1.8)
    foot = site.camera.at(x, 0, z)
    pixels, cover = _crown(site, _foliage(site), 0.0, tall * scale)
    centre = (foot[0], foot[1] - 0.46 * tall * scale)
    site.canvas.sprite(centre, (wide * scale * 1.2, tall * scale * 1.25), pixels, Brush(Label.VEGETATION, z, 80), cover)


def paint_hedge(site: Site, x: float, start: float, stop: float) -> None:
    """Paint a hedge along the street at ``x``."""
    dice, tall = site.dice, site.dice.uniform(0.8, 2.1)
    start = max(start, 2 * NEAR)
    if stop <= start:
        return
    rows, columns = 40, 160
    shade = 0.85 + 0.2 * patch("leaf", dice, rows, columns) + np.linspace(0.15, -0.25, rows, dtype=np.float32)[:, None]
    pixels = np.zeros((rows, columns, 4), np.uint8)
    factor = shade * np.float32(site.light.face(-1.0 if x > 0 else 1.0, 0.0))
    pixels[:, :, :3] = np.clip(factor[:, :, None] * np.array(_foliage(site), np.float32), 0, 255)
    edge = 3 + 2 * patch("blotch", dice, 1, columns)
    cover = np.where(np.arange(rows)[:, None] > edge, np.uint8(COVERED), np.uint8(0))
    brush = Brush(Label.VEGETATION, 0.7 * start + 0.3 * stop, 80)
    site.canvas.picture(site.quad(x, stop, x, start, 0.0, tall), pixels, brush, cover)
