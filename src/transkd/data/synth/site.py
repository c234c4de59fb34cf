"""What every painter works with."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from .camera import Camera, Point
from .canvas import Canvas
from .light import Light
from .street import Street


@dataclass(frozen=True, slots=True)
class Site:
    """The canvas being painted, and all that determines how."""

    canvas: Canvas
    camera: Camera
    light: Light
    street: Street
    dice: Random

    def quad(self, x0: float, z0: float, x1: float, z1: float, low: float, high: float) -> tuple[Point, ...]:
        """Return where an upright face from (x0, z0) to (x1, z1) lies on the canvas: clockwise, top first."""
        at = self.camera.at
        return at(x0, high, z0), at(x1, high, z1), at(x1, low, z1), at(x0, low, z0)
