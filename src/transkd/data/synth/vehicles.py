"""Cars, vans, trucks, buses and trams."""

from __future__ import annotations

from math import cos, sin

from .camera import NEAR
from .canvas import Brush, Colour
from .labels import Label
from .palette import car, mixed, shaded, vivid
from .site import Site
from .solid import Box, Face, Pose, visible_faces

_TYRE: Colour = (26, 26, 28)
_DETAIL = 7.0


def _glass(site: Site) -> Colour:
    return mixed((34, 40, 46), site.light.skyline, site.dice.uniform(0.05, 0.5) if not site.light.dark else 0.03)


def _too_close(pose: Pose, box: Box) -> bool:
    return any(
        pose.world(along, across, 0.0)[2] < 2 * NEAR
        for along in (box.rear, box.front)
        for across in (-box.width / 2, box.width / 2)
    )


def _wheels(site: Site, pose: Pose, box: Box, radius: float, spots: tuple[float, ...], brush: Brush) -> None:
    """Paint the wheels of the side that is seen, as discs in perspective."""
    for face in visible_faces(site, pose, box):
        if face.name not in ("left", "right"):
            continue
        across = box.width / 2 * (1 if face.name == "right" else -1) * 1.01
        for spot in spots:
            for size, colour in ((1.0, _TYRE), (0.55, (120.0, 122.0, 124.0))):
                ring = []
                for i in range(10):
                    angle = i * 0.6283
                    place = pose.world(spot + size * radius * cos(angle), across, radius + size * radius * sin(angle))
                    ring.append(site.camera.at(*place))
                site.canvas.poly(ring, shaded(colour, face.bright), brush)


def _under(site: Site, pose: Pose, box: Box, brush: Brush) -> None:
    """Paint the dark space under a vehicle with the tyres at its near end."""
    shadow = Box(box.rear + 0.1, box.front - 0.1, box.width - 0.15, 0.0, box.low + 0.05)
    for face in visible_faces(site, pose, shadow):
        if face.name in ("rear", "front"):
            face.panel(0, 0.45, 1, 1, (16, 16, 18), brush)
            face.panel(0.02, 0, 0.16, 1, _TYRE, brush)
            face.panel(0.84, 0, 0.98, 1, _TYRE, brush)
        elif face.name != "top":
            face.panel(0, 0.3, 1, 1, (16, 16, 18), brush)


def _lamps(site: Site, face: Face, brush: Brush, height: tuple[float, float]) -> None:
    dark = site.light.dark or site.light.weather in ("fog", "rain")
    low, high = height
    if face.name == "rear":
        colour, glow = (200.0, 24.0, 28.0), (255 if site.dice.random() < 0.3 else 150) if dark else 30
    else:
        colour, glow = (250.0, 246.0, 226.0), 255 if dark else 10
    for s in (0.03, 0.81):
        face.panel(s, low, s + 0.16, high, colour, brush.lit(glow))
    plate = (226.0, 224.0, 214.0)
    face.panel(0.36, low * 0.6, 0.64, low * 0.6 + 0.16, plate, brush)


def paint_car(site: Site, x: float, z: float, yaw: float) -> None:
    """Paint a car (hatchback, saloon, estate or van) with its middle at (x, z)."""
    dice, pose = site.dice, Pose(x, z, yaw)
    kind = dice.choices(("hatch", "saloon", "estate", "van", "suv"), (0.3, 0.25, 0.17, 0.13, 0.15))[0]
    length = {"hatch": 4.0, "saloon": 4.6, "estate": 4.7, "van": 5.0, "suv": 4.6}[kind] * dice.uniform(0.95, 1.05)
    width = {"van": 1.95, "suv": 1.9}.get(kind, 1.78)
    high = {"van": 2.1, "suv": 1.7}.get(kind, 1.46)
    waist = {"van": 1.15, "suv": 1.0}.get(kind, 0.88)
    colour, brush = car(dice), Brush(Label.CAR, z, 6)
    body = Box(-length / 2, length / 2, width, 0.26, waist, 0.03, 0.12, 0.04)
    if _too_close(pose, body):
        return
    hood = 0.9 if kind == "van" else 1.35
    boot = 0.75 if kind == "saloon" else 0.06
    cabin = Box(
        -length / 2 + boot,
        length / 2 - hood * 0.75,
        width - 0.1,
        waist,
        high,
        0.35 if kind != "van" else 0.12,
        0.7,
        0.16,
    )
    _under(site, pose, body, brush)
    fine = site.camera.scale(z) > _DETAIL
    for face in visible_faces(site, pose, body):
        face.panel(0, 0, 1, 1, colour, brush)
        if face.name in ("rear", "front"):
            face.panel(0, 0, 1, 0.3, shaded(colour, 0.6), brush)
            _lamps(site, face, brush, (0.55, 0.85))
            if face.name == "front":
                face.panel(0.25, 0.45, 0.75, 0.7, (34, 34, 36), brush)
        elif face.name != "top" and fine:
            face.panel(0, 0, 1, 0.18, shaded(colour, 0.5), brush)
            face.panel(0, 0.8, 1, 0.86, shaded(colour, 1.2), brush)
    glass = _glass(site)
    for face in visible_faces(site, pose, cabin):
        face.panel(0, 0, 1, 1, mixed(colour, (20, 20, 22), 0.1), brush)
        if face.name in ("rear", "front"):
            face.panel(0.08, 0.12, 0.92, 0.86, glass, brush)
        elif face.name != "top":
            face.panel(0.06, 0.1, 0.5, 0.86, shaded(glass, 0.9), brush)
            face.panel(0.54, 0.1, 0.94, 0.86, shaded(glass, 0.9), brush)
    _wheels(site, pose, body, 0.33, (-length * 0.31, length * 0.31), brush)


def paint_truck(site: Site, x: float, z: float, yaw: float) -> None:
    """Paint a truck: a cab and a cargo box, tank or flat bed."""
    dice, pose = site.dice, Pose(x, z, yaw)
    length, width, high = dice.uniform(5.8, 10.0), 2.45, dice.uniform(2.7, 3.7)
    brush, colour = Brush(Label.TRUCK, z, 10), car(dice) if dice.random() < 0.5 else vivid(dice)
    load = mixed(vivid(dice), (222, 222, 218), dice.choice((0.0, 0.6, 1.0)))
    cargo = Box(-length / 2, length / 2 - 2.0, width, 0.95, high)
    cab = Box(length / 2 - 1.9, length / 2, width - 0.1, 0.5, min(high, 2.7), 0.0, 0.3, 0.06)
    if _too_close(pose, Box(-length / 2, length / 2, width, 0, 1)):
        return
    _under(site, pose, Box(-length / 2, length / 2, width, 0.75, 1.0), brush)
    chassis = Box(-length / 2, length / 2 - 1.9, width - 0.2, 0.55, 0.95)
    for face in visible_faces(site, pose, chassis):
        face.panel(0, 0, 1, 1, (40, 40, 42), brush)
        if face.name == "rear":
            _lamps(site, face, brush, (0.3, 0.8))

    def paint_cargo() -> None:
        for face in visible_faces(site, pose, cargo):
            face.panel(0, 0, 1, 1, load, brush)
            if face.name == "rear":
                face.panel(0.49, 0.02, 0.51, 0.98, shaded(load, 0.7), brush)
                face.panel(0.03, 0.03, 0.97, 0.06, shaded(load, 0.6), brush)
            elif face.name in ("left", "right"):
                face.panel(0.2, 0.4, 0.7, 0.7, vivid(dice), brush)
                face.panel(0.3, 0.5, 0.6, 0.6, (240, 240, 236), brush)

    def paint_cab() -> None:
        for face in visible_faces(site, pose, cab):
            face.panel(0, 0, 1, 1, colour, brush)
            if face.name == "front":
                face.panel(0.06, 0.5, 0.94, 0.92, _glass(site), brush)
                _lamps(site, face, brush, (0.1, 0.22))
            elif face.name in ("left", "right"):
                face.panel(0.2, 0.5, 0.8, 0.88, _glass(site), brush)

    away = cos(yaw) > 0
    for part in (paint_cab, paint_cargo) if away else (paint_cargo, paint_cab):
        part()
    _wheels(site, pose, Box(-length / 2, length / 2, width, 0, 1), 0.48, (-length * 0.32, length * 0.36), brush)


def _windows(site: Site, face: Face, brush: Brush, count: int, low: float, high: float) -> None:
    glow = site.dice.randint(90, 170) if site.light.dark else 0
    for i in range(count):
        glass = (236.0, 222.0, 176.0) if glow else _glass(site)
        s = 0.02 + 0.96 * i / count
        face.panel(s, low, s + 0.96 / count * 0.88, high, glass, brush.lit(glow))


def paint_bus(site: Site, x: float, z: float, yaw: float) -> None:
    """Paint a bus with rows of windows, a destination board and perhaps an advertisement."""
    dice, pose = site.dice, Pose(x, z, yaw)
    length, colour = (
        dice.uniform(9.5, 12.5),
        mixed(vivid(dice), (232, 230, 224), dice.choice((0.0, 0.3, 0.9))),
    )
    brush = Brush(Label.BUS, z, 8)
    body = Box(-length / 2, length / 2, 2.55, 0.35, dice.choice((2.95, 3.1, 3.1, 4.1)), 0.05, 0.1, 0.05)
    if _too_close(pose, body):
        return
    _under(site, pose, body, brush)
    double = body.high > 4
    for face in visible_faces(site, pose, body):
        face.panel(0, 0, 1, 1, colour, brush)
        face.panel(0, 0, 1, 0.08, shaded(colour, 0.6), brush)
        if face.name in ("left", "right"):
            _windows(site, face, brush, 7, 0.28 if double else 0.42, 0.5 if double else 0.84)
            if double:
                _windows(site, face, brush, 8, 0.62, 0.86)
            if dice.random() < 0.4:
                face.panel(0.25, 0.12, 0.65, 0.38, vivid(dice), brush)
        elif face.name != "top":
            face.panel(0.07, 0.4 if not double else 0.25, 0.93, 0.8 if not double else 0.5, _glass(site), brush)
            face.panel(0.2, 0.86, 0.8, 0.95, (250, 190, 60), brush.lit(160))
            _lamps(site, face, brush, (0.14, 0.24))
    _wheels(site, pose, body, 0.48, (-length * 0.27, length * 0.32), brush)


def paint_tram(site: Site, x: float, z: float, yaw: float) -> None:
    """Paint a tram (class train): jointed cars, large windows, a stripe, no tyres."""
    dice = site.dice
    colour, stripe = mixed(vivid(dice), (230, 226, 214), dice.choice((0.0, 0.2, 0.7))), vivid(dice)
    cars, length = dice.choice((2, 2, 3)), 8.5
    order = [i - (cars - 1) / 2 for i in range(cars)]
    order.sort(key=lambda i: -(z + i * length * cos(yaw)))
    for i in order:
        pose = Pose(x + i * (length + 0.3) * sin(yaw), z + i * (length + 0.3) * cos(yaw), yaw)
        body = Box(-length / 2, length / 2, 2.4, 0.28, 3.3, 0.1, 0.1, 0.1)
        if _too_close(pose, body):
            continue
        brush = Brush(Label.TRAIN, pose.z, 8)
        for face in visible_faces(site, pose, body):
            face.panel(0, 0, 1, 1, colour, brush)
            face.panel(0, 0, 1, 0.06, (30, 30, 32), brush)
            face.panel(0, 0.26, 1, 0.33, stripe, brush)
            if face.name in ("left", "right"):
                _windows(site, face, brush, 4, 0.4, 0.8)
            elif face.name != "top":
                face.shape(((0.1, 0.4), (0.16, 0.84), (0.84, 0.84), (0.9, 0.4)), _glass(site), brush)
                face.panel(0.3, 0.87, 0.7, 0.95, (250, 200, 80), brush.lit(170))
                _lamps(site, face, brush, (0.12, 0.2))
