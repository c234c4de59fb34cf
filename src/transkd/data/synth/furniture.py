"""Poles, signs, traffic lights, lamps, and the odds and ends that stand about."""

from __future__ import annotations

from math import cos, pi, sin

from .camera import Point
from .canvas import Brush, Colour
from .labels import Label
from .palette import metal, mixed, shaded, vivid
from .site import Site

_RED, _BLUE, _WHITE, _YELLOW = (186, 30, 36), (28, 70, 160), (232, 232, 228), (232, 186, 40)


def _post(site: Site, x: float, z: float, height: float, thick: float, colour: Colour) -> Point:
    """Paint an upright pole and return where its top is."""
    foot, top = site.camera.at(x, 0.0, z), site.camera.at(x, height, z)
    half = max(0.5, thick * site.camera.scale(z) / 2)
    site.canvas.rect(foot[0] - half, top[1], foot[0] + half, foot[1], colour, Brush(Label.POLE, z, 8))
    lit = 1 if site.light.sun[0] > 0 else -1
    edge = foot[0] + lit * half * 0.5
    if half > 1.5:
        site.canvas.rect(
            edge - half * 0.3, top[1], edge + half * 0.3, foot[1], shaded(colour, 1.2), Brush(Label.POLE, z)
        )
    return top


def paint_pole(site: Site, x: float, z: float) -> None:
    """Paint a bollard, a flag-less mast or a utility pole."""
    kind = site.dice.random()
    if kind < 0.4:
        _post(site, x, z, site.dice.uniform(0.8, 1.1), 0.14, metal(site.dice))
        return
    colour = metal(site.dice) if kind < 0.75 else (112.0, 90.0, 70.0)
    height = site.dice.uniform(4.0, 8.0)
    top, scale = _post(site, x, z, height, site.dice.uniform(0.14, 0.3), colour), site.camera.scale(z)
    if kind >= 0.75:
        for drop in (0.2, 0.8):
            y = top[1] + drop * scale
            site.canvas.line(
                (top[0] - 0.8 * scale, y),
                (top[0] + 0.8 * scale, y),
                0.1 * scale,
                colour,
                Brush(Label.POLE, z),
            )


def paint_lamp(site: Site, x: float, z: float) -> None:
    """Paint a street lamp whose arm reaches over the road; lit when it is dark."""
    colour, scale = metal(site.dice), site.camera.scale(z)
    top = _post(site, x, z, site.dice.uniform(4.5, 7.5), 0.16, colour)
    reach = (-1 if x > 0 else 1) * site.dice.choice((0.15, 1.0, 1.8)) * scale
    tip = (top[0] + reach, top[1] - 0.15 * scale)
    brush = Brush(Label.POLE, z)
    site.canvas.line(top, tip, 0.1 * scale, colour, brush)
    bulb: Colour = (255.0, 226.0, 170.0) if site.light.dark else shaded(colour, 1.3)
    radius = (0.34 * scale, 0.13 * scale)
    site.canvas.ellipse(tip, radius, bulb, brush.lit(255 if site.light.dark else 0))


def _ring(centre: Point, radius: float, corners: int, turn: float) -> list[Point]:
    angles = [2 * pi * (i + turn) / corners for i in range(corners)]
    return [(centre[0] + radius * sin(a), centre[1] - radius * cos(a)) for a in angles]


def paint_plate(site: Site, centre: Point, scale: float, z: float) -> None:
    """Paint a traffic sign around ``centre``: triangle, disc, octagon, diamond, square or direction board."""
    dice, canvas = site.dice, site.canvas
    brush = Brush(Label.TRAFFIC_SIGN, z, 4, 40 if site.light.time == "night" else 0)
    kind = dice.choice(("triangle", "disc", "blue", "octagon", "diamond", "square", "board", "back", "yield"))
    radius = dice.uniform(0.32, 0.45) * scale
    if kind in ("triangle", "yield"):
        turn = 0.0 if kind == "triangle" else 0.5
        canvas.poly(_ring(centre, radius * 1.2, 3, turn), _RED, brush)
        canvas.poly(_ring(centre, radius * 0.75, 3, turn), _WHITE, brush)
    elif kind == "disc":
        canvas.ellipse(centre, (radius, radius), _RED, brush)
        canvas.ellipse(centre, (radius * 0.72, radius * 0.72), _WHITE, brush)
        canvas.rect(
            centre[0] - radius * 0.4,
            centre[1] - radius * 0.3,
            centre[0] + radius * 0.4,
            centre[1] + radius * 0.3,
            (40, 40, 44),
            brush,
        )
    elif kind == "blue":
        canvas.ellipse(centre, (radius, radius), _BLUE, brush)
        canvas.line(
            (centre[0], centre[1] + radius * 0.5),
            (centre[0], centre[1] - radius * 0.5),
            radius * 0.25,
            _WHITE,
            brush,
        )
    elif kind == "octagon":
        canvas.poly(_ring(centre, radius, 8, 0.5), _RED, brush)
        canvas.rect(
            centre[0] - radius * 0.6,
            centre[1] - radius * 0.16,
            centre[0] + radius * 0.6,
            centre[1] + radius * 0.16,
            _WHITE,
            brush,
        )
    elif kind == "diamond":
        canvas.poly(_ring(centre, radius * 1.1, 4, 0.0), _WHITE, brush)
        canvas.poly(_ring(centre, radius * 0.8, 4, 0.0), _YELLOW, brush)
    elif kind == "back":
        canvas.ellipse(centre, (radius, radius), metal(dice), brush)
    else:
        wide = radius * (0.9 if kind == "square" else dice.uniform(1.6, 3.0))
        colour = dice.choice((_BLUE, _YELLOW, _WHITE, (36, 110, 70)))
        canvas.rect(centre[0] - wide, centre[1] - radius, centre[0] + wide, centre[1] + radius, colour, brush)
        ink = (30, 30, 34) if sum(colour) > 420 else _WHITE
        canvas.rect(
            centre[0] - wide * 0.7,
            centre[1] - radius * 0.5,
            centre[0] + wide * 0.3,
            centre[1] - radius * 0.2,
            ink,
            brush,
        )
        canvas.rect(
            centre[0] - wide * 0.7,
            centre[1] + radius * 0.1,
            centre[0] + wide * 0.6,
            centre[1] + radius * 0.4,
            ink,
            brush,
        )


def paint_sign(site: Site, x: float, z: float) -> None:
    """Paint a pole with one or two traffic signs."""
    scale = site.camera.scale(z)
    top = _post(site, x, z, site.dice.uniform(2.3, 3.1), 0.08, metal(site.dice))
    paint_plate(site, (top[0], top[1] + 0.3 * scale), scale, z)
    if site.dice.random() < 0.35:
        paint_plate(site, (top[0], top[1] + 1.15 * scale), scale, z)


def _paint_lights(site: Site, centre: Point, scale: float, z: float) -> None:
    canvas, half = site.canvas, 0.17 * scale
    brush = Brush(Label.TRAFFIC_LIGHT, z, 4)
    if site.dice.random() < 0.3:
        canvas.rect(
            centre[0] - half * 1.7,
            centre[1] - 0.62 * scale,
            centre[0] + half * 1.7,
            centre[1] + 0.62 * scale,
            (30, 30, 32),
            brush,
        )
    shell = site.dice.choice(((28, 30, 32), (44, 54, 48), (150, 130, 50)))
    canvas.rect(centre[0] - half, centre[1] - 0.5 * scale, centre[0] + half, centre[1] + 0.5 * scale, shell, brush)
    if site.dice.random() < 0.25:
        return
    on = site.dice.randrange(3)
    for i, colour in enumerate(((236, 44, 34), (250, 180, 40), (60, 232, 140))):
        lit = i == on
        spot = (centre[0], centre[1] + (i - 1) * 0.32 * scale)
        canvas.ellipse(
            spot,
            (half * 0.8, half * 0.8),
            colour if lit else shaded(colour, 0.22),
            brush.lit(230 if lit else 0),
        )


def paint_traffic_light(site: Site, x: float, z: float) -> None:
    """Paint a traffic light on its pole, some with a second one on an arm over the road."""
    scale, colour = site.camera.scale(z), metal(site.dice)
    arm = site.dice.random() < 0.35
    top = _post(site, x, z, 5.2 if arm else 3.3, 0.15, colour)
    if arm:
        tip = (top[0] + (-1 if x > 0 else 1) * 3.2 * scale, top[1] + 0.1 * scale)
        site.canvas.line(top, tip, 0.12 * scale, colour, Brush(Label.POLE, z))
        _paint_lights(site, (tip[0], tip[1] + 0.4 * scale), scale, z)
        top = (top[0], top[1] + 2.2 * scale)
    _paint_lights(site, (top[0], top[1] + 0.35 * scale), scale, z)


def paint_clutter(site: Site, x: float, z: float) -> None:
    """Paint what Cityscapes calls static: a bin, a box, an advertising column, a heap of bags."""
    dice, at = site.dice, site.camera.at
    tall, wide = dice.choice(((1.0, 0.6), (0.6, 0.9), (2.6, 1.2), (1.3, 1.1)))
    colour = mixed(vivid(dice), (90, 92, 92), 0.6)
    left, top = at(x - wide / 2, tall, z)
    right, bottom = at(x + wide / 2, 0.0, z)
    brush = Brush(Label.STATIC, z, 12)
    site.canvas.rect(left, top, right, bottom, shaded(colour, site.light.face(0, -1)), brush)
    site.canvas.rect(left, top, right, top + 0.15 * (bottom - top), shaded(colour, 0.7), brush)
