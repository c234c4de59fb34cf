"""Boxes and tapered boxes in the street, from which vehicles are built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, sin

from .camera import Point
from .canvas import Brush, Colour
from .palette import shaded
from .site import Site

Place = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a vehicle stands: its middle on the ground and its heading in radians (0 drives away)."""

    x: float
    z: float
    yaw: float

    def world(self, along: float, across: float, up: float) -> Place:
        """Return the world place of a point given in the vehicle's own metres."""
        s, c = sin(self.yaw), cos(self.yaw)
        return self.x + along * s + across * c, up, self.z + along * c - across * s


@dataclass(frozen=True, slots=True)
class Face:
    """A visible side of a solid: four corners, from the bottom left, clockwise as one looks at it."""

    name: str
    corners: tuple[Place, Place, Place, Place]
    bright: float
    site: Site

    def panel(self, s0: float, t0: float, s1: float, t1: float, colour: Colour, brush: Brush) -> None:
        """Fill the part from (s0, t0) to (s1, t1); (0, 0) is the bottom left, (1, 1) the top right."""
        self.shape(((s0, t0), (s0, t1), (s1, t1), (s1, t0)), colour, brush)

    def shape(self, outline: Sequence[Point], colour: Colour, brush: Brush) -> None:
        """Fill a polygon given in the face's own coordinates."""
        at = self.site.camera.at
        dim = 1.0 if brush.glow > 100 else self.bright
        self.site.canvas.poly([at(*self.spot(s, t)) for s, t in outline], shaded(colour, dim), brush)

    def spot(self, s: float, t: float) -> Place:
        """Return the world place of a point of the face."""
        bl, tl, tr, br = self.corners
        p, q, r, w = (1 - s) * (1 - t), (1 - s) * t, s * t, s * (1 - t)
        return (
            p * bl[0] + q * tl[0] + r * tr[0] + w * br[0],
            p * bl[1] + q * tl[1] + r * tr[1] + w * br[1],
            p * bl[2] + q * tl[2] + r * tr[2] + w * br[2],
        )


@dataclass(frozen=True, slots=True)
class Box:
    """A tapered box in a vehicle's metres: rear to front, width, low to high, and how the top draws in."""

    rear: float
    front: float
    width: float
    low: float
    high: float
    draw_rear: float = 0.0
    draw_front: float = 0.0
    draw_side: float = 0.0


def visible_faces(site: Site, pose: Pose, box: Box) -> list[Face]:
    """Return the faces of a box that the camera sees."""
    half, top_half = box.width / 2, box.width / 2 - box.draw_side
    top_rear, top_front = box.rear + box.draw_rear, box.front - box.draw_front
    a, b, c, d = (
        pose.world(along, across, box.low)
        for along, across in ((box.rear, -half), (box.rear, half), (box.front, half), (box.front, -half))
    )
    e, f, g, h = (
        pose.world(along, across, box.high)
        for along, across in (
            (top_rear, -top_half),
            (top_rear, top_half),
            (top_front, top_half),
            (top_front, -top_half),
        )
    )
    s, k = sin(pose.yaw), cos(pose.yaw)
    candidates = (
        ("rear", (a, e, f, b), (-s, -k)),
        ("front", (c, g, h, d), (s, k)),
        ("right", (b, f, g, c), (k, -s)),
        ("left", (d, h, e, a), (-k, s)),
    )
    faces = []
    if site.camera.height > box.high:
        faces.append(Face("top", (e, h, g, f), 1.05, site))
    for name, corners, (nx, nz) in candidates:
        low, high = corners[0], corners[1]
        eye = (site.camera.offset - low[0], -low[2])
        rise = max(0.1, high[1] - low[1])
        lean = ((corners[1][0] - low[0]) * nx + (corners[1][2] - low[2]) * nz) / rise
        if nx * eye[0] + nz * eye[1] - lean * (site.camera.height - low[1]) > 0.02:
            faces.append(Face(name, corners, site.light.face(nx, nz), site))
    return faces
