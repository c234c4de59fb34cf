"""Decides what stands where in a street, and paints it from far to near."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import pi
from random import Random

from .boundaries import paint_fence, paint_wall
from .furniture import paint_clutter, paint_lamp, paint_pole, paint_sign, paint_traffic_light
from .greenery import paint_bush, paint_hedge, paint_tree
from .ground import Shadow
from .people import paint_bicycle, paint_motorcycle, paint_person, paint_rider
from .site import Site
from .street import Street
from .vehicles import paint_bus, paint_car, paint_tram, paint_truck

Painter = Callable[[Site, float, float], None]


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that stands at (x, z); ``shadow`` is its half sizes along x and z and its height."""

    x: float
    z: float
    paint: Painter
    shadow: tuple[float, float, float]

    def cast(self) -> Shadow:
        """Return its shadow."""
        return Shadow(self.x, self.z, *self.shadow)


@dataclass(frozen=True, slots=True)
class Run:
    """Something that runs along the street at ``x``: a wall, a fence or a hedge."""

    x: float
    start: float
    stop: float
    paint: Callable[[Site, float, float, float], None]


def _turned(painter: Callable[[Site, float, float, float], None], yaw: float) -> Painter:
    def paint(site: Site, x: float, z: float) -> None:
        painter(site, x, z, yaw)

    return paint


def _vehicle(dice: Random, x: float, z: float, yaw: float, big: float = 0.15) -> Thing:
    chance = dice.random()
    if chance < big * 0.5:
        return Thing(x, z + 3, _turned(paint_truck, yaw), _footprint(yaw, 1.25, 4.0, 3.2))
    if chance < big:
        return Thing(x, z + 4, _turned(paint_bus, yaw), _footprint(yaw, 1.3, 5.5, 3.1))
    return Thing(x, z, _turned(paint_car, yaw), _footprint(yaw, 0.9, 2.1, 1.4))


def _footprint(yaw: float, across: float, along: float, height: float) -> tuple[float, float, float]:
    return (along, across, height) if 0.25 * pi < yaw % pi < 0.75 * pi else (across, along, height)


def _traffic(dice: Random, street: Street) -> list[Thing]:
    things = []
    density = dice.uniform(0.1, 0.9)
    for lane in range(street.lanes):
        for side in (-1, 1):
            z = dice.uniform(7.0, 30.0)
            while z < 110:
                x = side * (lane + 0.5) * street.lane + dice.gauss(0, 0.15)
                if street.tracks and lane == 0 and dice.random() < 0.16:
                    yaw = 0.0 if side > 0 else pi
                    things.append(Thing(x, z + 10, _turned(paint_tram, yaw), (1.2, 12.0, 3.2)))
                    z += 24
                elif dice.random() < density and street.clear_of_crossing(z, 0.0):
                    yaw = (0.0 if side > 0 else pi) + dice.gauss(0, 0.03)
                    things.append(_vehicle(dice, x, z, yaw))
                elif dice.random() < 0.12:
                    rider = partial(paint_rider, motor=dice.random() < 0.4)
                    things.append(Thing(x + dice.uniform(0, 1), z, rider, (0.3, 0.8, 1.6)))
                z += dice.uniform(9, 28)
    if street.crossing:
        middle = sum(street.crossing) / 2
        for direction in (-1, 1):
            if dice.random() < 0.5:
                x = dice.uniform(-14, 14)
                things.append(_vehicle(dice, x, middle - direction * 1.7, direction * pi / 2, 0.25))
    return things


def _parked(dice: Random, street: Street) -> list[Thing]:
    things = []
    for side in (-1, 1):
        if not street.strip(side).parking:
            continue
        x, z, fill = street.kerb(side) - side * 1.05, dice.uniform(5, 10), dice.uniform(0.3, 0.95)
        while z < 90:
            if street.clear_of_crossing(z, 6.0) and dice.random() < fill:
                yaw = 0.0 if (side > 0) == (dice.random() < 0.9) else pi
                if dice.random() < 0.06:
                    things += [Thing(x + 0.4 * i, z + i, paint_motorcycle, (0.35, 0.9, 1.0)) for i in (-1, 0, 1)]
                else:
                    things.append(_vehicle(dice, x, z, yaw + dice.gauss(0, 0.03), 0.06))
            z += dice.uniform(5.2, 6.5)
    return things


def _walkers(dice: Random, street: Street) -> list[Thing]:
    things = []
    busy = dice.choice((0.3, 1.0, 2.5)) * {"city": 1.0, "avenue": 0.9, "suburb": 0.5, "outskirts": 0.25}[street.kind]
    body = (0.25, 0.2, 1.7)
    for side in (-1, 1):
        strip = street.strip(side)
        for _ in range(int(dice.expovariate(1 / (4 * busy)))):
            x = street.kerb(side) + side * (strip.verge + dice.random() * max(1.2, strip.pavement))
            z = dice.uniform(6, 25) if dice.random() < 0.6 else dice.uniform(20, 70)
            for i in range(dice.choice((1, 1, 1, 2, 3))):
                things.append(Thing(x + 0.6 * i, z + dice.gauss(0, 0.2), paint_person, body))
    if street.zebra is not None:
        for _ in range(dice.choice((0, 1, 2, 4))):
            x = dice.uniform(street.left, street.right)
            things.append(Thing(x, street.zebra + dice.uniform(0.5, 3), paint_person, body))
    if dice.random() < 0.12:
        things.append(Thing(dice.uniform(street.left, street.right), dice.uniform(9, 40), paint_person, body))
    for _ in range(dice.choice((0, 0, 0, 1, 2))):
        side = dice.choice((-1, 1))
        x = street.kerb(side) - side * dice.uniform(0.3, 1.2)
        rider = partial(paint_rider, motor=dice.random() < 0.25)
        things.append(Thing(x, dice.uniform(6, 45), rider, (0.3, 0.8, 1.6)))
    return things


def _furniture(dice: Random, street: Street) -> list[Thing]:
    things, thin = [], (0.08, 0.08, 4.0)
    for side in (-1, 1):
        strip, z = street.strip(side), dice.uniform(4, 12)
        edge = street.kerb(side) + side * 0.5
        inner = street.kerb(side) + side * max(0.8, strip.verge + strip.pavement - 0.5)
        while z < 100:
            kind = dice.choices((paint_lamp, paint_sign, paint_pole, paint_clutter), (0.28, 0.3, 0.3, 0.12))[0]
            if street.clear_of_crossing(z):
                things.append(Thing(edge if dice.random() < 0.75 else inner, z, kind, thin))
            z += dice.uniform(4, 20)
        if dice.random() < 0.35:
            spot = dice.uniform(6, 40)
            for i in range(dice.randint(1, 5)):
                if street.clear_of_crossing(spot + i * 0.7):
                    things.append(Thing(inner, spot + i * 0.7, paint_bicycle, (0.25, 0.7, 0.9)))
        if dice.random() < 0.1:
            things.append(Thing(inner, dice.uniform(6, 25), paint_motorcycle, (0.35, 0.8, 1.0)))
        if street.crossing and dice.random() < 0.8:
            for z in (street.crossing[0] - 1.2, street.crossing[1] + 1.2):
                things.append(Thing(edge, z, paint_traffic_light, thin))
        elif street.zebra and dice.random() < 0.7:
            things.append(Thing(edge, street.zebra - 0.5, paint_traffic_light, thin))
    return things


def _trees(dice: Random, street: Street) -> list[Thing]:
    things = []
    for side in (-1, 1):
        strip = street.strip(side)
        row = dice.random() < {"city": 0.25, "avenue": 0.8, "suburb": 0.3, "outskirts": 0.4}[street.kind]
        if row and strip.verge + strip.pavement > 1.5:
            x, z, step = street.kerb(side) + side * 0.9, dice.uniform(5, 14), dice.uniform(6, 14)
            while z < 110:
                if street.clear_of_crossing(z, 2.0):
                    things.append(Thing(x, z + dice.gauss(0, 0.4), paint_tree, (1.6, 1.6, 6.0)))
                z += step
    return things


def plan_gardens(dice: Random, street: Street, gaps: list[tuple[int, float, float]]) -> tuple[list[Thing], list[Run]]:
    """Return the trees and bushes beside and between the houses, and what fences them in."""
    things, runs = [], []
    for side in (-1, 1):
        strip = street.strip(side)
        inner = street.kerb(side) + side * (strip.verge + strip.pavement)
        lush = {"city": 0.0, "suburb": 0.35, "avenue": 0.15, "outskirts": 0.8}[street.kind]
        z = 3.0
        while z < min(street.end, 110) and strip.yard > 1.0:
            stop = z + dice.uniform(7, 20)
            if street.clear_of_crossing(z, 3.0) and street.clear_of_crossing(stop, 3.0):
                kind = dice.choices((paint_fence, paint_wall, paint_hedge, None), (0.34, 0.22, 0.2, 0.24))[0]
                if kind:
                    runs.append(Run(inner + side * 0.2, z, stop, kind))
                if dice.random() < lush:
                    for _ in range(dice.randint(1, 3)):
                        x = inner + side * dice.uniform(0.8, strip.yard + 1)
                        things.append(
                            Thing(
                                x,
                                dice.uniform(z, stop),
                                dice.choice((paint_tree, paint_bush)),
                                (1.2, 1.2, 4.0),
                            )
                        )
            z = stop
    for side, start, stop in gaps:
        x = street.building_line(side)
        kind = dice.choices((paint_fence, paint_wall, paint_hedge, None), (0.34, 0.34, 0.14, 0.18))[0]
        if kind and street.clear_of_crossing((start + stop) / 2, 3.0):
            runs.append(Run(x, start, stop, kind))
        for _ in range(dice.randint(0, 3)):
            things.append(Thing(x + side * dice.uniform(1, 10), dice.uniform(start, stop), paint_tree, (1.6, 1.6, 6.0)))
    runs.sort(key=lambda run: (-abs(run.x), -run.stop))
    return [thing for thing in things if thing.z > 3.5], runs


def plan_corridor(dice: Random, street: Street) -> list[Thing]:
    """Return all that stands or moves between the building lines, farthest first."""
    things = [
        *_traffic(dice, street),
        *_parked(dice, street),
        *_walkers(dice, street),
        *_furniture(dice, street),
        *_trees(dice, street),
    ]
    if dice.random() < 0.1:
        things.append(Thing(dice.choice((-0.3, 0.3)), dice.uniform(15, 40), _paint_median, (0.1, 0.1, 0.1)))
    return sorted(things, key=lambda thing: -thing.z)


def _paint_median(site: Site, x: float, z: float) -> None:
    paint_fence(site, x, z, z + 30)
