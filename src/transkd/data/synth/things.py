"""What stands or drives in a street at (x, z): vehicles, people, trees, poles, lights and signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import cos, pi, sin
from random import Random

from .canvas import LEAVES, NEAR, Canvas, Colour, Face, Place, Point, mixed, pick, shaded

_BLACK, _RED, _WHITE = (24.0, 24.0, 26.0), (205.0, 30.0, 30.0), (232.0, 232.0, 226.0)
_GLASS, _SIDE_PANES = (74.0, 84.0, 90.0), ((0.06, 0.48), (0.54, 0.96))
_DULL = (_BLACK, (160, 164, 168), (96, 100, 106), (40, 60, 110), (120, 36, 40), (60, 84, 70), (150, 130, 96), _WHITE)
_VIVID = (_RED, (230, 180, 40), (40, 110, 180), (50, 140, 80), (220, 110, 40), (120, 60, 140), _WHITE)
_TROUSERS = ((40, 46, 66), (34, 34, 38), (96, 88, 74), (70, 84, 110))
_SKINS = ((224, 180, 152), (190, 140, 108), (122, 84, 62))
_HAIR = ((36, 28, 24), (92, 64, 40), (180, 150, 96), (150, 148, 146))
_METAL = ((150, 152, 154), (92, 96, 98), (60, 74, 64), (178, 176, 170))


@dataclass(frozen=True, slots=True)
class _Vehicle:
    """A vehicle being painted; ``yaw`` is its heading in radians, 0 drives away."""

    canvas: Canvas
    label: str
    x: float
    z: float
    yaw: float = 0.0

    def box(
        self, rear: float, front: float, width: float, low: float, high: float, taper: Place = (0.0, 0.0, 0.0)
    ) -> dict[str, Face]:
        """Return the visible faces of a box; ``taper`` draws in the rear, front and sides of its top."""
        s, c, canvas = sin(self.yaw), cos(self.yaw), self.canvas
        back, nose, lean = taper

        def ring(rear: float, front: float, half: float, up: float) -> list[Place]:
            spots = ((rear, -half), (rear, half), (front, half), (front, -half))
            return [(self.x + along * s + right * c, up, self.z + along * c - right * s) for along, right in spots]

        base, lid = ring(rear, front, width / 2, low), ring(rear + back, front - nose, width / 2 - lean, high)
        faces = {}
        if canvas.eye > high:
            faces["top"] = Face(canvas, self.label, (lid[0], lid[3], lid[2], lid[1]), 1.05)
        sides = (("rear", -s, -c, back), ("right", c, -s, lean), ("front", s, c, nose), ("left", -c, s, lean))
        for i, (name, nx, nz, slope) in enumerate(sides):
            x, _, z = base[i]
            if nx * (canvas.offset - x) - nz * z + slope * (canvas.eye - low) / (high - low) > 0.02:
                corners = (base[i], lid[i], lid[(i + 1) % 4], base[(i + 1) % 4])
                faces[name] = Face(canvas, self.label, corners, canvas.light.on_face(nx, nz))
        return faces

    def paint_wheels(self, rear: float, front: float, width: float, high: float) -> None:
        """Paint the dark space under the body, with the tyres in it."""
        for name, face in self.box(rear, front, width, 0.0, high).items():
            face.panel(0, 0.45, 1, 1, (16, 16, 18))
            for s in (0.12, 0.72) if name in ("left", "right") else (0.02, 0.84):
                face.panel(s, 0, s + 0.15, 1, _BLACK)

    def paint_ends(self, faces: dict[str, Face], low: float, high: float) -> None:
        """Paint lamps and number plates on rear and front."""
        for name, colour in (("rear", _RED), ("front", _WHITE)):
            if name in faces:
                for s in (0.03, 0.81):
                    faces[name].panel(s, low, s + 0.16, high, colour)
                faces[name].panel(0.36, 0.35 * low, 0.64, 0.75 * low, _WHITE)


def paint_car(canvas: Canvas, dice: Random, x: float, z: float, yaw: float) -> None:
    """Paint a hatchback, saloon, estate or van."""
    shapes = ((2.0, 1.75, 0.88, 1.46, 1.0, 0.05), (2.3, 1.78, 0.88, 1.42, 1.1, 0.75), (2.5, 1.95, 1.15, 2.1, 0.6, 0.05))
    half, width, waist, high, hood, boot = dice.choices(shapes, (0.45, 0.3, 0.25))[0]
    car, colour = _Vehicle(canvas, "car", x, z, yaw), pick(dice, _DULL + _VIVID)
    car.paint_wheels(0.1 - half, half - 0.1, width - 0.06, 0.4)
    body = car.box(-half, half, width, 0.3, waist, (0.03, 0.12, 0.04))
    for face in body.values():
        face.panel(0, 0, 1, 1, colour)
    car.paint_ends(body, 0.55, 0.85)
    for name, face in car.box(boot - half, half - hood, width - 0.1, waist, high, (0.35, 0.7, 0.16)).items():
        face.panel(0, 0, 1, 1, mixed(colour, _BLACK, 0.1))
        for left, right in {"top": (), "left": _SIDE_PANES, "right": _SIDE_PANES}.get(name, ((0.08, 0.92),)):
            face.panel(left, 0.12, right, 0.86, _GLASS)


def paint_truck(canvas: Canvas, dice: Random, x: float, z: float, yaw: float) -> None:
    """Paint a truck: a cab and a box."""
    half, high, truck = dice.uniform(2.9, 4.7), dice.uniform(2.8, 3.7), _Vehicle(canvas, "truck", x, z, yaw)
    colour, load = pick(dice, _DULL + _VIVID), pick(dice, (*_VIVID, _WHITE, _WHITE))
    truck.paint_wheels(-half, half, 2.3, 0.9)
    truck.paint_ends(truck.box(-half, half, 2.4, 0.4, 1.0), 0.4, 0.9)
    cargo = truck.box(-half, half - 2.0, 2.45, 0.95, high)
    cab = truck.box(half - 1.9, half, 2.35, 0.5, min(high, 2.7), (0.0, 0.3, 0.06))
    for faces in (cab, cargo) if cos(yaw) > 0 else (cargo, cab):
        for name, face in faces.items():
            face.panel(0, 0, 1, 1, load if faces is cargo else colour)
            if faces is cab and name != "top":
                face.panel(0.1, 0.5, 0.9, 0.9, _GLASS)


def paint_bus(canvas: Canvas, dice: Random, x: float, z: float, yaw: float) -> None:
    """Paint a bus."""
    bus, half = _Vehicle(canvas, "bus", x, z, yaw), dice.uniform(4.7, 6.2)
    bus.paint_wheels(-half, half, 2.5, 0.5)
    faces = bus.box(-half, half, 2.55, 0.3, dice.uniform(2.9, 3.4), (0.08, 0.1, 0.05))
    _paint_coach(faces, pick(dice, _VIVID), _GLASS, 6)
    bus.paint_ends(faces, 0.1, 0.18)


def paint_train(canvas: Canvas, dice: Random, x: float, z: float, yaw: float) -> None:
    """Paint a tram: long, without wheels, with slanted ends and a stripe."""
    faces = _Vehicle(canvas, "train", x, z, yaw).box(-9.0, 9.0, 2.4, 0.1, 3.6, (0.8, 0.8, 0.1))
    _paint_coach(faces, pick(dice, _VIVID), pick(dice, _VIVID), 12)


def _paint_coach(faces: dict[str, Face], colour: Colour, stripe: Colour, windows: int) -> None:
    """Paint a body with a row of windows and a lit destination board."""
    for name, face in faces.items():
        face.panel(0, 0, 1, 1, colour)
        if name in ("left", "right"):
            face.panel(0, 0.2, 1, 0.3, stripe)
            for i in range(windows):
                face.panel((i + 0.1) / windows, 0.42, (i + 0.9) / windows, 0.84, _GLASS)
        elif name != "top":
            face.panel(0.07, 0.4, 0.93, 0.82, _GLASS)
            face.panel(0.2, 0.86, 0.8, 0.95, (250, 190, 60))


class _Figure:
    """Draws flat upright figures in metres to the right of and above a place; ``squeeze`` narrows them."""

    def __init__(self, canvas: Canvas, label: str, x: float, z: float, squeeze: float = 1.0) -> None:
        self.canvas, self.label, self.z, self.squeeze = canvas, label, z, squeeze
        self.scale, self.foot = canvas.focal / max(z, NEAR), canvas.at(x, 0.0, z)
        self.bright = canvas.light.on_face(0.0, -1.0)

    def at(self, right: float, up: float) -> Point:
        """Return the pixel of a point."""
        return self.foot[0] + right * self.scale * self.squeeze, self.foot[1] - up * self.scale

    def ink(self, colour: Colour) -> int:
        """Return the ink of a colour as the light shows it."""
        return self.canvas.ink(shaded(colour, self.bright), self.label, self.z)

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """Draw a chain of lines with round ends."""
        for a, b in pairwise(points):
            self.canvas.line(self.at(*a), self.at(*b), width * self.scale, self.ink(colour))

    def shape(self, outline: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon."""
        self.canvas.fill([self.at(*point) for point in outline], self.ink(colour))

    def disc(self, centre: Point, radii: Point, colour: Colour, ring: float = 0.0) -> None:
        """Fill an ellipse, or draw it as a ring of that thickness."""
        size = (radii[0] * self.scale * self.squeeze, radii[1] * self.scale)
        self.canvas.ellipse(self.at(*centre), size, ring * self.scale, self.ink(colour))


def paint_person(canvas: Canvas, dice: Random, x: float, z: float) -> None:
    """Paint a person who stands or walks, grown up or a child."""
    figure, size = _Figure(canvas, "person", x, z), 0.7 if dice.random() < 0.12 else dice.gauss(1.0, 0.05)
    figure.scale *= size
    coat, legs, stride = pick(dice, _DULL + _VIVID), pick(dice, _TROUSERS), dice.uniform(-0.35, 0.35)
    wide, hem = dice.uniform(0.14, 0.24), dice.choice((0.85, 0.85, 0.6))
    for side in (-1, 1):
        figure.line(((side * 0.09, 0.9), (side * (0.1 + stride * 0.4), 0.5), (side * (0.1 + stride), 0.06)), 0.14, legs)
        figure.line(((side * wide, 1.36), (side * (wide + 0.1) - stride * 0.4, 0.92)), 0.1, shaded(coat, 0.85))
    figure.shape(((-wide - 0.03, 1.42), (wide + 0.03, 1.42), (wide, hem), (-wide, hem)), coat)
    figure.disc((0, 1.64), (0.1, 0.12), pick(dice, _HAIR))
    figure.disc((dice.uniform(-0.04, 0.04), 1.57), (0.08, 0.11), pick(dice, _SKINS))


def paint_bicycle(canvas: Canvas, dice: Random, x: float, z: float) -> None:
    """Paint a bicycle, seen from the side to nearly from behind."""
    figure, frame = _Figure(canvas, "bicycle", x, z, dice.uniform(0.25, 1.0)), pick(dice, _VIVID + _DULL)
    rear, hub, saddle, head, front = (-0.52, 0.34), (-0.05, 0.3), (-0.2, 0.9), (0.36, 0.86), (0.52, 0.34)
    for wheel in (rear, front):
        figure.disc(wheel, (0.34, 0.34), _BLACK, ring=0.06)
    figure.line((head, saddle, rear, hub, saddle, hub, head, (0.4, 1.05), front), 0.055, frame)


def paint_motorcycle(canvas: Canvas, dice: Random, x: float, z: float) -> None:
    """Paint a motorcycle or scooter, seen from the side to nearly from behind."""
    figure = _Figure(canvas, "motorcycle", x, z, dice.uniform(0.3, 1.0))
    for wheel in (-0.67, 0.67):
        figure.disc((wheel, 0.31), (0.31, 0.31), _BLACK, ring=0.14)
    body = ((-0.75, 0.75), (-0.6, 0.9), (0, 0.82), (0.25, 0.98), (0.5, 0.9), (0.4, 0.4), (-0.3, 0.28))
    figure.shape(body, pick(dice, _VIVID + _DULL))
    figure.line(((0.2, 1.08), (0.6, 1.08), (0.45, 0.95), (0.68, 0.31)), 0.08, pick(dice, _METAL))


def paint_rider(canvas: Canvas, dice: Random, x: float, z: float) -> None:
    """Paint a rider on a bicycle or a motorcycle."""
    dice.choice((paint_bicycle, paint_bicycle, paint_motorcycle))(canvas, dice, x, z)
    figure, coat, legs = _Figure(canvas, "rider", x, z), pick(dice, _DULL + _VIVID), pick(dice, _TROUSERS)
    for side in (-0.1, 0.1):
        figure.line(((side - 0.1, 0.98), (side + 0.1, 0.66 + side), (side, 0.3 + side)), 0.15, legs)
        figure.line(((side, 1.4), (0.2 + 2 * side, 1.05)), 0.1, shaded(coat, 0.85))
    figure.shape(((-0.3, 0.95), (-0.15, 1.48), (0.2, 1.48), (0.1, 0.95)), coat)
    figure.disc((0.05, 1.64), (0.12, 0.14), pick(dice, _VIVID + _HAIR))


def paint_plant(canvas: Canvas, dice: Random, x: float, z: float) -> None:
    """Paint a bush, or a tree with a broad, narrow or conical crown: clumps of leaves, dark below and light above."""
    figure, colour, trunk = _Figure(canvas, "vegetation", x, z), pick(dice, LEAVES), dice.uniform(0.1, 0.22)
    tall, wide, middle, cone = dice.uniform(0.3, 1.1), dice.uniform(0.6, 1.5), 0.9, dice.random() < 0.15
    if dice.random() < 0.7:
        tall, middle = 3 * tall, 2.0
        figure.shape(((-trunk, 0), (0, middle * tall), (trunk, 0)), pick(dice, ((82, 70, 58),)))
    for i in range(36):
        up = i / 18 - 1
        reach, size = (0.5 - 0.5 * up) if cone else (1 - up * up) ** 0.5, dice.uniform(0.16, 0.3) * tall
        spot = (dice.uniform(-0.85, 0.85) * reach * wide * tall, (middle + 0.8 * up) * tall)
        tint = shaded(colour, max(0.3, 0.95 + 0.3 * up + dice.gauss(0, 0.1)))
        figure.disc(spot, (size * wide * (0.4 + 0.6 * reach), size), tint)


def paint_lamp(canvas: Canvas, dice: Random, x: float, z: float) -> None:
    """Paint a street lamp, some with an arm that reaches over the road."""
    figure, height = _Figure(canvas, "pole", x, z), dice.uniform(4.5, 8.0)
    reach = dice.choice((0.0, 1.2, 1.8)) * (-1 if x > 0 else 1)
    figure.line(((0, 0), (0, height), (reach, height + 0.1)), 0.13, pick(dice, _METAL))
    figure.disc((reach, height + 0.1), (0.3, 0.14), (210, 210, 200))


def paint_traffic_light(canvas: Canvas, dice: Random, x: float, z: float) -> None:
    """Paint a traffic light on its pole."""
    top, lit, figure = dice.uniform(2.6, 3.6), dice.randrange(3), _Figure(canvas, "traffic light", x, z)
    _Figure(canvas, "pole", x, z).line(((0, 0), (0, top)), 0.13, pick(dice, _METAL))
    figure.shape(((-0.25, top - 1), (-0.25, top), (0.25, top), (0.25, top - 1)), (36, 38, 36))
    for i, colour in enumerate(((60, 230, 140), (255, 190, 40), (255, 50, 40))):
        figure.disc((0, top - 0.82 + 0.32 * i), (0.12, 0.13), shaded(colour, 1.0 if i == lit else 0.25))


def paint_sign(canvas: Canvas, dice: Random, x: float, z: float) -> None:
    """Paint a traffic sign on its pole: a triangle, a diamond or a disc."""
    top, half, corners = dice.uniform(2.0, 2.8), dice.uniform(0.35, 0.6), dice.choice((3, 4, 16, 16))
    inner, outer = dice.choice(((_WHITE, _RED), (_RED, _WHITE), ((40, 90, 180), _WHITE), ((240, 190, 40), _WHITE)))
    _Figure(canvas, "pole", x, z).line(((0, 0), (0, top)), 0.09, pick(dice, _METAL))
    for size, colour in ((half, outer), (0.7 * half, inner)):
        turns = (2 * pi * i / corners for i in range(corners))
        outline = [(size * sin(turn), top + size * cos(turn)) for turn in turns]
        _Figure(canvas, "traffic sign", x, z).shape(outline, colour)
