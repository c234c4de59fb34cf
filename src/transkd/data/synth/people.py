"""Persons, riders, and the two-wheelers they ride or leave at the kerb."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sin

from .camera import Point
from .canvas import Brush, Colour
from .labels import Label
from .palette import clothes, hair, metal, shaded, skin, trousers, vivid
from .site import Site

Place = Callable[[float, float], Point]


def _placer(site: Site, x: float, z: float, squeeze: float = 1.0) -> tuple[Place, float]:
    """Return a function from metres (right, up) at (x, z) to the canvas, and the pixels in a metre."""
    scale = site.camera.scale(z)
    foot = site.camera.at(x, 0.0, z)

    def place(right: float, up: float) -> Point:
        return foot[0] + right * scale * squeeze, foot[1] - up * scale

    return place, scale


def paint_person(site: Site, x: float, z: float, label: Label = Label.PERSON) -> None:
    """Paint a person standing or walking at (x, z), child or grown up, some with a bag or a hat."""
    dice, canvas = site.dice, site.canvas
    size = (dice.uniform(1.05, 1.45) if dice.random() < 0.12 else dice.gauss(1.72, 0.09)) / 1.75
    bright = site.light.face(0.0, -1.0)
    coat, legs, face, locks = clothes(dice), trousers(dice), skin(dice), hair(dice)
    turn = dice.choice((-1, 1))
    sideways = dice.random()
    place, scale = _placer(site, x, z)
    pixels = scale * size
    brush = Brush(label, z, 10)
    stride = dice.uniform(-0.4, 0.4) * (0.4 + 0.6 * sideways)

    def limb(a: Point, b: Point, width: float, colour: Colour) -> None:
        canvas.line(
            place(a[0] * size * turn, a[1] * size),
            place(b[0] * size * turn, b[1] * size),
            width * pixels,
            shaded(colour, bright),
            brush,
        )

    hip, shoulder = 0.13 - 0.05 * sideways, 0.2 - 0.07 * sideways
    for side, swing in ((-1, -stride), (1, stride)):
        knee = (side * hip + swing * 0.45, 0.5)
        ankle = (side * hip + swing - (0.12 if swing < 0 else 0), 0.08)
        limb((side * hip * 0.8, 0.9), knee, 0.16, legs)
        limb(knee, ankle, 0.12, shaded(legs, 0.92))
        limb(ankle, (ankle[0] + 0.1 * sideways, 0.04), 0.09, (36, 32, 32))
    limb((-shoulder, 1.36), (-shoulder - 0.1 - stride * 0.4, 0.92), 0.1, shaded(coat, 0.8))
    hem = dice.choice((0.85, 0.85, 0.6))
    outline = ((-shoulder - 0.04, 1.42), (shoulder + 0.04, 1.42), (hip + 0.09, hem), (-hip - 0.09, hem))
    canvas.poly([place(a * size, b * size) for a, b in outline], shaded(coat, bright), brush)
    limb((shoulder, 1.36), (shoulder + 0.08 + stride * 0.4, 0.92), 0.1, shaded(coat, 0.9))
    if dice.random() < 0.3:
        limb((-0.1 - shoulder, 0.95), (-0.1 - shoulder, 0.7), 0.24, clothes(dice))
    _paint_head(site, place, size, brush, face, locks)


def _paint_head(site: Site, place: Place, size: float, brush: Brush, face: Colour, locks: Colour) -> None:
    canvas, bright = site.canvas, site.light.face(0.0, -1.0)
    middle, crown = place(0.0, 1.6 * size), place(0.0, 1.66 * size)
    radius = abs(place(0.0, 0.12 * size)[1] - place(0.0, 0.0)[1])
    canvas.line(place(0.0, 1.42 * size), middle, radius * 0.9, shaded(face, 0.85 * bright), brush)
    canvas.ellipse(crown, (radius * 0.85, radius), shaded(locks, bright), brush)
    if site.dice.random() < 0.65:
        canvas.ellipse(middle, (radius * 0.68, radius * 0.8), shaded(face, bright), brush)


def _paint_wheels(
    site: Site,
    place: Place,
    scale: float,
    squeeze: float,
    brush: Brush,
    radius: float,
    base: float,
    thick: float,
) -> None:
    for end in (-1, 1):
        centre = place(end * base / 2, radius)
        radii = (max(0.6, radius * scale * squeeze), radius * scale)
        site.canvas.ellipse(centre, radii, (34, 34, 36), brush, thick * scale)


def paint_bicycle(site: Site, x: float, z: float, squeeze: float | None = None) -> None:
    """Paint a bicycle at (x, z), seen from the side (``squeeze`` 1) or nearly from behind (0.15)."""
    dice, canvas = site.dice, site.canvas
    squeeze = dice.choice((dice.uniform(0.15, 0.4), dice.uniform(0.5, 1.0))) if squeeze is None else squeeze
    place, scale = _placer(site, x, z, squeeze)
    brush, colour = Brush(Label.BICYCLE, z, 8), dice.choice((vivid(dice), metal(dice), (30.0, 30.0, 34.0)))
    _paint_wheels(site, place, scale, squeeze, brush, 0.34, 1.05, 0.06)
    rear, front, pedals = (-0.52, 0.34), (0.52, 0.34), (-0.05, 0.3)
    saddle, head = (-0.2, 0.88), (0.36, 0.86)
    for a, b in (
        (rear, pedals),
        (rear, saddle),
        (pedals, saddle),
        (saddle, head),
        (pedals, head),
        (head, front),
    ):
        canvas.line(place(*a), place(*b), 0.055 * scale, colour, brush)
    canvas.line(place(-0.3, 0.94), place(-0.1, 0.94), 0.08 * scale, (30, 28, 28), brush)
    bar = place(0.38, 1.02)
    canvas.line(place(*head), bar, 0.05 * scale, colour, brush)
    spread = 0.26 * (1 - squeeze) * scale
    canvas.line((bar[0] - spread, bar[1]), (bar[0] + spread, bar[1]), 0.05 * scale, (40, 40, 42), brush)


def paint_motorcycle(site: Site, x: float, z: float, squeeze: float | None = None) -> None:
    """Paint a motorcycle or scooter at (x, z); ``squeeze`` as for bicycles."""
    dice, canvas = site.dice, site.canvas
    squeeze = dice.choice((dice.uniform(0.2, 0.45), dice.uniform(0.5, 1.0))) if squeeze is None else squeeze
    place, scale = _placer(site, x, z, squeeze)
    brush = Brush(Label.MOTORCYCLE, z, 10)
    colour = dice.choice((vivid(dice), (36.0, 36.0, 40.0), (150.0, 152.0, 156.0)))
    _paint_wheels(site, place, scale, squeeze, brush, 0.31, 1.35, 0.14)
    body = ((-0.75, 0.75), (-0.6, 0.9), (0.0, 0.82), (0.25, 0.98), (0.5, 0.9), (0.4, 0.4), (-0.3, 0.28))
    canvas.poly([place(*p) for p in body], colour, brush)
    canvas.poly([place(*p) for p in ((-0.3, 0.55), (0.3, 0.6), (0.35, 0.25), (-0.25, 0.2))], (70, 70, 74), brush)
    canvas.line(place(0.45, 0.95), place(0.68, 0.31), 0.1 * scale, (120, 122, 126), brush)
    bar, spread = place(0.4, 1.08), max(0.1, 0.38 * (1 - squeeze)) * scale
    canvas.line((bar[0] - spread, bar[1]), (bar[0] + spread, bar[1]), 0.07 * scale, (36, 36, 38), brush)
    canvas.line(place(-0.6, 0.9), place(0.0, 0.86), 0.12 * scale, (26, 26, 28), brush)
    lamp = place(-0.78, 0.72)
    red = brush.lit(200 if site.light.dark else 60)
    canvas.ellipse(lamp, (0.07 * scale, 0.06 * scale), (220, 30, 30), red)


def paint_rider(site: Site, x: float, z: float, motor: bool = False) -> None:
    """Paint a rider on a bicycle or motorcycle at (x, z)."""
    dice, canvas = site.dice, site.canvas
    squeeze = dice.uniform(0.18, 0.4) if dice.random() < 0.7 else dice.uniform(0.6, 1.0)
    (paint_motorcycle if motor else paint_bicycle)(site, x, z, squeeze)
    place, scale = _placer(site, x, z, squeeze)
    brush, bright = Brush(Label.RIDER, z, 10), site.light.face(0.0, -1.0)
    coat, legs = shaded(clothes(dice), bright), shaded(trousers(dice), bright)
    turn = dice.random() * 2 * pi
    spread = 0.11 * (1 - squeeze) * scale
    hip, shoulder = (-0.22, 0.98), (0.08, 1.48)
    for side, phase in ((-1, turn), (1, turn + pi)):
        knee, foot = (
            (0.14 + 0.08 * cos(phase), 0.68 + 0.1 * sin(phase)),
            (0.0 + 0.12 * cos(phase), 0.28 + 0.12 * sin(phase)),
        )
        a, b, c = (_aside(place(*p), side * spread) for p in (hip, knee, foot))
        canvas.line(a, b, 0.17 * scale, legs, brush)
        canvas.line(b, c, 0.12 * scale, shaded(legs, 0.9), brush)
        hand = _aside(place(0.4, 1.05), side * spread * 2.2)
        canvas.line(_aside(place(*shoulder), side * spread * 1.6), hand, 0.1 * scale, shaded(coat, 0.85), brush)
    half = (0.14 + 0.08 * (1 - squeeze)) * scale
    low, high = place(*hip), place(*shoulder)
    torso = [
        (low[0] - half * 0.8, low[1]),
        (high[0] - half, high[1]),
        (high[0] + half, high[1]),
        (low[0] + half * 0.8, low[1]),
    ]
    canvas.poly(torso, coat, brush)
    head = place(0.14, 1.66)
    helmet = shaded(vivid(dice) if motor or dice.random() < 0.5 else hair(dice), bright)
    canvas.ellipse(head, (0.12 * scale, 0.14 * scale), helmet, brush)


def _aside(point: Point, shift: float) -> Point:
    return point[0] + shift, point[1]
