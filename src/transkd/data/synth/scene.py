"""One synthetic street scene: a photograph-like image and its exact labels."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from transkd.errors import ConfigError

from .atmosphere import develop, fall
from .bonnet import paint_bonnet
from .buildings import paint_block, paint_street_end, plan_blocks
from .camera import sample_camera
from .canvas import Canvas
from .ground import paint_ground
from .light import sample_light
from .photograph import photograph
from .site import Site
from .sky import paint_backdrop, paint_sky
from .street import sample_street
from .world import plan_corridor, plan_gardens

SMALLEST = 64
LARGEST = 4096
_SUPERSAMPLING = 2


@dataclass(frozen=True)
class Scene:
    """An image and its labels.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8 raw Cityscapes label ids.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def check_size(height: int, width: int) -> None:
    """Raise ConfigError unless scenes can be drawn at this size."""
    if not all(isinstance(side, int) and SMALLEST <= side <= LARGEST for side in (height, width)):
        raise ConfigError(
            f"size: synthetic scenes are {SMALLEST} to {LARGEST} pixels high and wide, "
            f"got height {height} and width {width}"
        )


def draw_scene(rng: np.random.Generator, height: int, width: int) -> Scene:
    """Draw a random street scene.

    Image and labels are painted by the same strokes on a canvas of twice the size. The image is averaged down and then
    degraded as a camera would; the labels take one canvas pixel each and are not touched again.

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
    canvas = Canvas(height * _SUPERSAMPLING, width * _SUPERSAMPLING)
    camera = sample_camera(dice, canvas.height, canvas.width, street.lane * (street.lanes - 0.5))
    site = Site(canvas, camera, light, street, dice)
    _paint_world(site)
    lit = develop(site, height, width)
    fall(lit, light, dice, rng)
    labels = np.ascontiguousarray(canvas.paint[::_SUPERSAMPLING, ::_SUPERSAMPLING, 3])
    return Scene(photograph(lit, light, dice, rng), labels)


def _paint_world(site: Site) -> None:
    dice, street = site.dice, site.street
    blocks, gaps = plan_blocks(dice, street)
    garden, runs = plan_gardens(dice, street, gaps)
    corridor = plan_corridor(dice, street)
    paint_sky(site)
    paint_backdrop(site)
    paint_ground(site, [*(block.shadow() for block in blocks), *(thing.cast() for thing in (*garden, *corridor))])
    paint_street_end(site)
    for block in blocks:
        paint_block(site, block)
    for thing in sorted(garden, key=lambda thing: -thing.z):
        thing.paint(site, thing.x, thing.z)
    for run in runs:
        run.paint(site, run.x, run.start, run.stop)
    for thing in corridor:
        thing.paint(site, thing.x, thing.z)
    if dice.random() < 0.3:
        paint_bonnet(site)
