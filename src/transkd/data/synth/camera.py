"""The pinhole camera that looks down the street."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

NEAR = 1.2
FAR = 400.0

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Camera:
    """Projects metres (x to the right of the road's middle, y up, z ahead) to canvas pixels."""

    focal: float
    centre: float
    horizon: float
    height: float
    offset: float
    curve: float

    def at(self, x: float, y: float, z: float) -> Point:
        """Return the pixel (column, row) of a point; points behind the camera are moved before it."""
        z = max(z, NEAR)
        scale = self.focal / z
        column = self.centre + (x - self.offset + self.curve * z * z) * scale
        return column, self.horizon + (self.height - y) * scale

    def scale(self, z: float) -> float:
        """Return the pixels that a metre takes at distance ``z``."""
        return self.focal / max(z, NEAR)


def sample_camera(dice: Random, height: int, width: int, lane_centre: float) -> Camera:
    """Return a dashboard camera for a (height, width) canvas, above ``lane_centre``."""
    breadth = (2.0 * height * width) ** 0.5
    return Camera(
        focal=breadth * dice.uniform(0.72, 1.0),
        centre=width * dice.gauss(0.5, 0.05),
        horizon=height * dice.uniform(0.38, 0.53),
        height=dice.uniform(1.25, 1.75),
        offset=lane_centre + dice.gauss(0.0, 0.3),
        curve=dice.gauss(0.0, 0.0009) if dice.random() < 0.6 else 0.0,
    )
