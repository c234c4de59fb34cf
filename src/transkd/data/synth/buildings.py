"""Blocks of buildings along the street and at its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from .camera import Point
from .canvas import Brush
from .elevation import Style, draw_elevation
from .ground import Shadow
from .labels import Label
from .palette import facade, mixed, roof, shaded
from .site import Site
from .street import Street

_FIRST = -4.0
_NEAREST = 2.5


@dataclass(frozen=True, slots=True)
class Block:
    """A building: its street face lies at ``x`` from ``start`` to ``stop`` and it extends away from the road."""

    side: int
    x: float
    start: float
    stop: float
    height: float
    depth: float
    pitch: float
    style: Style

    def shadow(self) -> Shadow:
        """Return what it casts."""
        middle = self.x + self.side * self.depth / 2
        return Shadow(middle, (self.start + self.stop) / 2, self.depth / 2, (self.stop - self.start) / 2, self.height)


def sample_style(dice: Random, kind: str) -> Style:
    """Return a random style for a building in a street of that kind."""
    colour = facade(dice)
    glazed = kind in ("city", "avenue") and dice.random() < 0.18
    if glazed:
        colour = mixed(colour, (120, 140, 156), 0.6)
    pale = dice.random() < 0.6
    return Style(
        colour=colour,
        floor=dice.uniform(2.8, 3.6),
        bay=dice.uniform(1.6, 3.8),
        window=(0.86, 0.8) if glazed else (dice.uniform(0.35, 0.65), dice.uniform(0.4, 0.65)),
        frame=(224.0, 222.0, 216.0) if pale else shaded(colour, 0.55),
        glazed=glazed,
        bricks=dice.random() < 0.35,
        shop=dice.random() < {"city": 0.6, "avenue": 0.35}.get(kind, 0.04),
        bands=dice.random() < 0.3,
        balconies=dice.random() < 0.2,
    )


def plan_blocks(dice: Random, street: Street) -> tuple[list[Block], list[tuple[int, float, float]]]:
    """Place the buildings.

    Returns:
        The blocks, and the gaps between them as (side, start, stop).
    """
    blocks: list[Block] = []
    gaps: list[tuple[int, float, float]] = []
    for side in (-1, 1):
        for start, stop in _plots(dice, street):
            missing = {"city": 0.05, "suburb": 0.25, "avenue": 0.15, "outskirts": 0.75}[street.kind]
            if dice.random() < missing:
                gaps.append((side, start, stop))
            else:
                blocks.append(_block(dice, street, side, start, stop))
    blocks.sort(key=lambda block: -block.stop)
    return blocks, gaps


def _plots(dice: Random, street: Street) -> Iterator[tuple[float, float]]:
    z = _FIRST
    houses = street.kind in ("suburb", "outskirts")
    while z < street.end:
        length = dice.uniform(8, 14) if houses else dice.uniform(9, 26)
        stop = z + length
        if street.crossing and z < street.crossing[1] + 3 and stop > street.crossing[0] - 3:
            if street.crossing[0] - 3 - z > 5:
                yield z, street.crossing[0] - 3
            z = street.crossing[1] + 3
            continue
        yield z, stop
        z = stop + (dice.uniform(1.5, 6) if houses else dice.choice((0.0, 0.0, 0.0, 4.0)))


def _block(dice: Random, street: Street, side: int, start: float, stop: float) -> Block:
    houses = street.kind in ("suburb", "outskirts")
    style = sample_style(dice, street.kind)
    floors = dice.randint(1, 2) if houses else dice.randint(2, 7)
    pitched = dice.random() < (0.85 if houses else 0.3)
    return Block(
        side=side,
        x=street.building_line(side) + side * dice.choice((0.0, 0.3, 1.0)),
        start=start,
        stop=stop,
        height=floors * style.floor + (1.2 if not style.shop else 1.8),
        depth=dice.uniform(7, 14),
        pitch=dice.uniform(1.8, 4.0) if pitched else 0.0,
        style=style,
    )


def paint_block(site: Site, block: Block) -> None:
    """Paint a building: roof, the face towards the camera, the face along the street."""
    nearest = _first_seen(site, block.x)
    start = max(block.start, nearest)
    if block.stop <= start + 0.3:
        return
    outer = block.x + block.side * block.depth
    if block.pitch:
        _paint_roof(site, block, start, outer)
    if block.start > nearest:
        _paint_face(site, block, (block.x, start), (outer, start), site.light.face(0.0, -1.0))
    _paint_face(site, block, (block.x, block.stop), (block.x, start), site.light.face(-block.side, 0.0))


def _first_seen(site: Site, x: float) -> float:
    """Return a distance before which nothing at ``x`` is in the picture."""
    camera = site.camera
    reach = max(camera.centre, site.canvas.width - camera.centre)
    return max(_NEAREST, 0.75 * abs(x - camera.offset) * camera.focal / reach)


def _paint_roof(site: Site, block: Block, start: float, outer: float) -> None:
    colour, ridge = roof(site.dice), (block.x + outer) / 2
    top, at = block.height + block.pitch, site.camera.at
    brush = Brush(Label.BUILDING, (start + block.stop) / 2, 34)
    snowy = mixed(colour, (228, 230, 236), site.light.snow * 0.9)
    slope = [
        at(block.x, block.height, start),
        at(ridge, top, start),
        at(ridge, top, block.stop),
        at(block.x, block.height, block.stop),
    ]
    site.canvas.poly(slope, shaded(snowy, site.light.face(-block.side * 0.7, 0.0)), brush)
    if block.start >= start:
        gable = [at(block.x, block.height, start), at(ridge, top, start), at(outer, block.height, start)]
        site.canvas.poly(gable, shaded(block.style.colour, site.light.face(0.0, -1.0)), brush)
    if site.dice.random() < 0.6:
        z = start + 0.3 * (block.stop - start)
        site.canvas.poly(site.quad(ridge - 0.4, z, ridge + 0.4, z, top - 0.5, top + 1.0), shaded(colour, 0.8), brush)


def _paint_face(site: Site, block: Block, first: Point, last: Point, bright: float) -> None:
    if site.camera.at(first[0], 0, first[1])[0] > site.camera.at(last[0], 0, last[1])[0]:
        first, last = last, first
    corners = site.quad(first[0], first[1], last[0], last[1], 0.0, block.height)
    length = abs(first[0] - last[0]) + abs(first[1] - last[1])
    wide = abs(corners[0][0] - corners[1][0])
    tall = max(corners[3][1] - corners[0][1], corners[2][1] - corners[1][1])
    limit = site.canvas.width * 3 // 5
    columns = int(min(max(wide * 1.2, 8), limit))
    rows = int(min(max(tall * 0.8, 8), limit))
    picture = draw_elevation(site.dice, site.light, block.style, length, block.height, columns, rows, bright)
    distance = 0.6 * min(first[1], last[1]) + 0.4 * max(first[1], last[1])
    site.canvas.picture(corners, picture, Brush(Label.BUILDING, distance, 16))


def paint_street_end(site: Site) -> None:
    """Paint a row of buildings across the far end of the street, where it has one."""
    street, dice = site.street, site.dice
    if dice.random() > (0.6 if street.kind in ("city", "avenue") else 0.2):
        return
    x = street.building_line(-1) - 12
    while x < street.building_line(1) + 12:
        wide, style = dice.uniform(8, 20), sample_style(dice, street.kind)
        block = Block(1, x, street.end, street.end + 1, dice.uniform(5, 18), wide, 0.0, style)
        _paint_face(site, block, (x, street.end), (x + wide, street.end), site.light.face(0.0, -1.0))
        x += wide
