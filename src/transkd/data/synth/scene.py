"""One synthetic street scene: what stands where, painted from far to near, and how a camera sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import pi
from random import Random
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from transkd.errors import ConfigError

from . import things
from .canvas import LABEL_IDS, Canvas, noise, sample_light
from .street import FLOOR, Footprint, Side, Street, paint_border, paint_building, paint_ground, paint_sky, sample_street

SMALLEST, LARGEST = 64, 4096


@dataclass(frozen=True)
class Scene:
    """An image, (H, W, 3) uint8 RGB, and its labels, (H, W) uint8 raw Cityscapes label ids."""

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def check_size(height: int, width: int) -> None:
    """Raise ConfigError unless scenes can be drawn at this size."""
    if not all(SMALLEST <= side <= LARGEST for side in (height, width)):
        limits = f"{SMALLEST} to {LARGEST} pixels high and wide"
        raise ConfigError(f"size: synthetic scenes are {limits}, got height {height} and width {width}")


def draw_scene(rng: np.random.Generator, height: int, width: int) -> Scene:
    """Draw a random street scene.

    Both are painted at twice the size; the image is averaged down, the labels take one canvas pixel each.

    Args:
        rng: decides everything; equal generators give equal scenes.
        height: of the scene in pixels, 64 to 4096.
        width: of the scene in pixels, 64 to 4096.

    Returns:
        The scene.

    Raises:
        ConfigError: the size is out of range.
    """
    check_size(height, width)
    dice = Random(int(rng.integers(2**62)))
    light, street = sample_light(dice), sample_street(dice)
    canvas = Canvas(dice, 2 * height, 2 * width, street.lane * (street.lanes - 0.5), light)
    items = list(_plan_traffic(street, dice))
    for side in street.sides:
        items += [*_plan_plots(street, side, dice), *_plan_kerbside(street, side, dice)]
    paint_sky(canvas, street, dice)
    paint_ground(canvas, street, dice, [item.footprint for item in items])
    for item in sorted(items, key=lambda item: -item.z):
        item.paint(canvas, dice)
    return _photograph(canvas, dice, rng)


class _Item(NamedTuple):
    """Something to paint: the distance that decides its turn (far ones first), what paints it, and its shadow."""

    z: float
    paint: Callable[[Canvas, Random], None]
    footprint: Footprint


def _stand(
    paint: Callable[..., None], x: float, z: float, size: tuple[float, float, float] = (0.2, 0.3, 1.5), **options: Any
) -> _Item:
    """Return a thing at (x, z); ``size`` is half that of its footprint along x and z, and its height."""
    return _Item(z - size[1], partial(paint, x=x, z=z, **options), (x, z, *size))


def _plan_plots(street: Street, side: Side, dice: Random) -> Iterator[_Item]:
    """Line a side with buildings, greenery where there are none, and walls, fences and hedges."""
    z, houses, line = -4.0, street.kind != "city", side.out(side.verge + side.sidewalk + 0.3)
    x = side.out(side.verge + side.sidewalk + side.yard)
    while z < street.end:
        stop = z + (dice.uniform(8, 14) if houses else dice.uniform(9, 24))
        if street.in_crossing(z, 3) or street.in_crossing(stop, 3):
            z += 2.0
            continue
        depth, middle = dice.uniform(7, 14), (z + stop) / 2
        if dice.random() > {"city": 0.1, "suburb": 0.25, "country": 0.75}[street.kind]:
            floors = dice.randint(1, 2) if houses else dice.randint(2, 7)
            roof = dice.uniform(1.8, 4.0) if dice.random() < (0.85 if houses else 0.3) else 0.0
            building = partial(paint_building, side=side.sign, x=x, start=z, stop=stop, depth=depth)
            shadow = (x + side.sign * depth / 2, middle, depth / 2, stop - middle, FLOOR * floors)
            yield _Item(stop, partial(building, floors=floors, roof=roof), shadow)
        else:
            for _ in range(dice.randint(1, 6)):
                spot = x + side.sign * dice.uniform(1, 9), dice.uniform(z, stop)
                tree = _stand(things.paint_plant, *spot, (1.2, 1.2, 4.0))
                yield tree._replace(z=stop + 0.1)
        if dice.random() < 0.75 and (side.yard or dice.random() < 0.3):
            border = partial(paint_border, fence=dice.random() < 0.6, x=line, start=z, stop=stop)
            yield _Item(stop - 0.01, border, (line, middle, 0.2, stop - middle, 1.5))
        z = stop + (dice.uniform(1.5, 6) if houses else dice.choice((0.0, 0.0, 4.0)))


def _plan_kerbside(street: Street, side: Side, dice: Random) -> Iterator[_Item]:
    """Line a side with poles, signs, trees, parked vehicles and walkers."""
    planted, fill, z = dice.random() < 0.6, dice.uniform(0.3, 0.95), dice.uniform(6, 20)
    while z < 110:
        after = z + dice.uniform(18, 35)
        if not street.in_crossing(z):
            yield _stand(things.paint_lamp, side.out(0.5), z)
        for at in [dice.uniform(z + 2, after - 2) for _ in range(3 if planted else 0)]:
            if not street.in_crossing(at, 2):
                yield _stand(things.paint_plant, side.out(0.9 + side.verge / 2), at, (1.2, 1.2, 4.0))
        if dice.random() < 0.8:
            yield _stand(things.paint_sign, side.out(dice.uniform(0.4, 1.0)), z + dice.uniform(2, 10))
        z = after
    if street.crossing is not None:
        for z in (street.crossing[0] - 0.5, street.crossing[1] + 0.5):
            yield _stand(things.paint_traffic_light, side.out(0.4), z)
    z = dice.uniform(5.5, 10)
    while side.parking and z < 90:
        if not street.in_crossing(z, 6.0) and dice.random() < fill:
            yield _drive(dice, side.out(-1.05), z, 0.0 if side.sign > 0 else pi, 0.08, things.paint_motorcycle)
        z += dice.uniform(5.2, 6.5)
    busy = {"city": 3.5, "suburb": 2.0, "country": 0.7}[street.kind] * dice.choice((0.4, 1.0, 2.0))
    for _ in range(int(dice.expovariate(1 / busy))):
        x, near = side.out(side.verge + dice.random() * max(1.2, side.sidewalk)), dice.random() < 0.6
        z = dice.uniform(6, 25) if near else dice.uniform(20, 70)
        for i in range(dice.choice((1, 1, 2, 3))):
            yield _stand(things.paint_person, x + 0.6 * i, z)
    for _ in range(dice.choice((0, 0, 1, 3))):
        yield _stand(things.paint_bicycle, side.out(side.verge + 0.8), dice.uniform(6, 30))


def _plan_traffic(street: Street, dice: Random) -> Iterator[_Item]:
    """Fill the lanes, the cross street and the zebra crossing."""
    density, trams = dice.uniform(0.15, 0.9), street.kind == "city" and dice.random() < 0.35
    for lane in range(street.lanes):
        for sign, yaw in ((-1, pi), (1, 0.0)):
            z = dice.uniform(7.0, 28.0)
            while z < 110:
                x = sign * (lane + 0.5) * street.lane + dice.gauss(0, 0.15)
                if trams and lane == 0 and dice.random() < 0.25:
                    yield _stand(things.paint_train, x, z + 10, (1.3, 9.0, 3.6), yaw=yaw)
                    z += 20
                elif dice.random() < density and not street.in_crossing(z):
                    yield _drive(dice, x, z, yaw + dice.gauss(0, 0.03), 0.15, things.paint_rider)
                z += dice.uniform(9, 26)
    if street.crossing is not None:
        z, sign = sum(street.crossing) / 2, dice.choice((-1, 1))
        yield _drive(dice, dice.uniform(-14, 14), z - sign * 1.7, sign * pi / 2, 0.35, things.paint_rider)
        for _ in range(dice.choice((0, 1, 2, 4))):
            x = dice.uniform(-1, 1) * street.sides[1].kerb
            yield _stand(things.paint_person, x, street.crossing[0] - dice.uniform(1, 3.5))


def _drive(dice: Random, x: float, z: float, yaw: float, rare: float, bike: Callable[..., None]) -> _Item:
    """Return a car or, each with chance ``rare``, a bike, or a truck or bus."""
    chance, across = dice.random(), abs(yaw) == pi / 2
    if chance < rare:
        return _stand(bike, x, z)
    if chance < 2 * rare:
        paint = dice.choice((things.paint_truck, things.paint_bus))
        return _stand(paint, x, z + 3.5, (5.0, 1.3, 3.2) if across else (1.3, 5.0, 3.2), yaw=yaw)
    return _stand(things.paint_car, x, z, (2.2, 0.9, 1.4) if across else (0.9, 2.2, 1.4), yaw=yaw)


def _photograph(canvas: Canvas, dice: Random, rng: np.random.Generator) -> Scene:
    """Return the canvas at half size, with texture, darkness, haze and a camera's flaws."""
    image, labels, distance = canvas.flatten()
    (height, width), light, sky = labels.shape, canvas.light, labels == LABEL_IDS["sky"]
    rows, columns = np.ogrid[:height, :width]
    texture = 1 + 0.05 * noise(7 * rows + dice.randrange(512), 7 * columns + dice.randrange(512))[:, :, None]
    image *= np.where(sky[:, :, None], 1, texture * np.array(light.level, np.float32))
    haze = np.where(sky, 0, 1 - np.exp(-distance / light.visibility))
    image += (np.array(light.skyline, np.float32) - image) * haze[:, :, None]
    image *= np.array([dice.gauss(1, 0.04) for _ in range(3)], np.float32) * np.float32(dice.gauss(1.0, 0.12))
    blur, strength = 0.2 + abs(dice.gauss(0, 0.4)) * width / 512, dice.uniform(1.0, 6.0)
    image = cv2.GaussianBlur(image, (0, 0), blur)
    image += strength * rng.standard_normal((height, width, 1), np.float32)
    image += 0.4 * strength * rng.standard_normal((height, width, 3), np.float32)
    gamma = 255 * (np.arange(256) / 255) ** np.exp(dice.gauss(0, 0.12))
    return Scene(gamma.round().astype(np.uint8)[np.clip(image, 0, 255).astype(np.uint8)], labels)
