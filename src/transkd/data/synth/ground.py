"""Paints the ground: road, marks, kerbs, pavement, grass, and the shadows on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .camera import FAR, NEAR
from .canvas import Canvas, encode_distance
from .labels import Label
from .noise import Field, sample
from .palette import mixed, shaded
from .site import Site
from .street import Street

_REACH = 45.0
_STEPS_PER_METRE = 40
_ROAD, _MARK, _DASH, _KERB, _PAVING, _GRASS, _RAIL, _PATCH = range(8)
_LABELS = np.array(
    [
        Label.ROAD,
        Label.ROAD,
        Label.ROAD,
        Label.SIDEWALK,
        Label.SIDEWALK,
        Label.TERRAIN,
        Label.ROAD,
        Label.ROAD,
    ],
    np.uint8,
)
_GRAIN = np.array([26, 14, 20, 16, 22, 64, 10, 30], np.uint8)


@dataclass(frozen=True, slots=True)
class Shadow:
    """A box on the ground that casts a shadow: centre, half sizes along x and z, height, all in metres."""

    x: float
    z: float
    half_x: float
    half_z: float
    height: float
    strength: float = 1.0


def _profile(street: Street) -> NDArray[np.uint8]:
    """Return the surface of each step across the street, from ``-_REACH`` to ``_REACH``."""
    steps = np.full(int(2 * _REACH * _STEPS_PER_METRE), _GRASS if street.kind != "city" else _PAVING, np.uint8)

    def fill(start: float, stop: float, surface: int) -> None:
        low, high = sorted((start, stop))
        steps[max(0, int((low + _REACH) * _STEPS_PER_METRE)) : int((high + _REACH) * _STEPS_PER_METRE)] = surface

    fill(street.left, street.right, _ROAD)
    if street.tracks:
        for middle in (-street.lane / 2, street.lane / 2):
            for rail in (-0.72, 0.72):
                fill(middle + rail - 0.05, middle + rail + 0.05, _RAIL)
    fill(-0.07, 0.07, _MARK if street.lanes > 1 else _DASH)
    for lane in range(1, street.lanes + 1):
        for side in (-1, 1):
            edge = side * lane * street.lane
            if lane < street.lanes or street.strip(side).parking:
                fill(edge - 0.06, edge + 0.06, _DASH)
    for side in (-1, 1):
        x, strip = street.kerb(side), street.strip(side)
        fill(x, x + side * (strip.verge + strip.pavement), _GRASS)
        fill(x + side * strip.verge, x + side * (strip.verge + strip.pavement), _PAVING)
        fill(x, x + side * 0.16, _KERB)
    return steps


def _surfaces(street: Street, across: Field, along: NDArray[np.float32]) -> NDArray[np.uint8]:
    index = np.clip((across + _REACH) * _STEPS_PER_METRE, 0, 2 * _REACH * _STEPS_PER_METRE - 1).astype(np.int32)
    surfaces = np.asarray(np.take(_profile(street), index), np.uint8)
    gap = (np.mod(along, 9.0) > 4.0)[:, None]
    surfaces[(surfaces == _DASH) & gap] = _ROAD
    if street.zebra is not None:
        rows = (along > street.zebra) & (along < street.zebra + 3.2)
        inside = (across[rows] > street.left + 0.3) & (across[rows] < street.right - 0.3)
        stripes = np.mod(across[rows], 1.0) < 0.5
        surfaces[rows] = np.where(inside, np.where(stripes, _MARK, _ROAD), surfaces[rows])
    if street.crossing is not None:
        start, stop = street.crossing
        outside = (across < street.left) | (across > street.right)
        beside = (along > start - 2.6) & (along < stop + 2.6)
        surfaces[beside[:, None] & outside] = _PAVING
        surfaces[(along > start) & (along < stop)] = _ROAD
    return surfaces


def _colours(site: Site) -> NDArray[np.float32]:
    street, snow = site.street, site.light.snow
    worn = site.dice.uniform(0.45, 1.0)
    mark = mixed(street.road, (232, 230, 222), worn)
    plain = [
        street.road, mark, mark, shaded(street.pavement, 1.18), street.pavement, street.grass,
        shaded(street.road, 0.55), shaded(street.road, 0.8),
    ]  # fmt: skip
    cover = [0.35, 0.2, 0.2, 0.5, 0.75, 0.95, 0.3, 0.35]
    white = [mixed(c, (232, 234, 240), snow * share) for c, share in zip(plain, cover, strict=True)]
    return np.array(white, np.float32)


def _texture(surfaces: NDArray[np.uint8], across: Field, along: NDArray[np.float32], snow: float) -> Field:
    """Return the brightness factor of each pixel: blotches, grit, slabs and wheel tracks."""
    depth = np.broadcast_to(along[:, None], across.shape)
    coarse = sample("blotch", across * 9.0, np.ascontiguousarray(depth * 5.0))
    fine = sample("grit", across * 90.0, np.ascontiguousarray(depth * 60.0))
    near = np.clip(9.0 / along, 0.0, 1.0)[:, None]
    factor = 1.0 + 0.05 * coarse + 0.07 * fine * near
    factor += np.where(surfaces == _GRASS, 0.13 * fine * near + 0.06 * coarse, np.float32(0))
    slabs = ((np.mod(across, 0.6) < 0.04) | (np.mod(depth, 0.6) < 0.05)) & (surfaces == _PAVING)
    factor -= np.where(slabs, 0.16 * (1 - snow) * np.clip(14.0 / along - 0.4, 0.0, 1.0)[:, None], np.float32(0))
    return np.asarray(factor, np.float32)


def _shade(site: Site, shadows: Iterable[Shadow], top: int) -> Field:
    """Return how shadowed each pixel below row ``top`` is, in [0, 1]."""
    canvas, light, camera = site.canvas, site.light, site.camera
    cast = np.zeros((canvas.height - top, canvas.width), np.uint8)
    contact = np.zeros_like(cast)
    for shadow in shadows:
        corners = [(shadow.x + i * shadow.half_x, shadow.z + j * shadow.half_z) for i in (-1, 1) for j in (-1, 1)]
        reach = light.reach * shadow.height
        far = [(x - light.sun[0] * reach, z - light.sun[1] * reach) for x, z in corners]
        for layer, points, strength in (
            (cast, corners + far, light.contrast),
            (contact, corners, 0.55 * shadow.strength),
        ):
            if strength > 0.1:
                flat = [camera.at(x, 0.0, max(z, NEAR)) for x, z in points]
                outline = np.clip(np.array(flat, np.float32) - (0, top), -9000, 9000).astype(np.int32)
                cv2.fillConvexPoly(layer, cv2.convexHull(outline), int(255 * strength))
    size = max(1, canvas.height // 170) * 2 + 1
    soft = cv2.blur(contact, (size, size))
    return np.asarray(np.maximum(cast * np.float32(0.5 / 255), soft * np.float32(0.8 / 255)), np.float32)


def paint_ground(site: Site, shadows: Iterable[Shadow]) -> None:
    """Paint everything below the horizon.

    Args:
        site: where.
        shadows: what casts shadows on it.
    """
    canvas, camera, street = site.canvas, site.camera, site.street
    top = max(0, int(camera.horizon + camera.focal * camera.height / FAR) + 1)
    rows = np.arange(top, canvas.height, dtype=np.float32)
    along = (camera.focal * camera.height / (rows - camera.horizon)).astype(np.float32)
    columns = np.arange(canvas.width, dtype=np.float32) - np.float32(camera.centre)
    across = columns[None, :] * (along / np.float32(camera.focal))[:, None]
    across = (across + (camera.offset - camera.curve * along * along)[:, None]).astype(np.float32)
    surfaces = _surfaces(street, across, along)
    factor = _texture(surfaces, across, along, site.light.snow)
    if site.light.snow:
        depth = np.broadcast_to(along[:, None], across.shape)
        patches = sample("blotch", across * np.float32(11), np.multiply(depth, np.float32(6)))
        factor += np.float32(0.12 * site.light.snow) * patches
    factor *= 1 - _shade(site, shadows, top)
    painted = np.take(_colours(site), surfaces, axis=0) * factor[:, :, None]
    _store(canvas, top, np.clip(painted, 0, 255), surfaces, along)


def _store(canvas: Canvas, top: int, colours: Field, surfaces: NDArray[np.uint8], along: NDArray[np.float32]) -> None:
    canvas.paint[top:, :, :3] = colours
    canvas.paint[top:, :, 3] = _LABELS[surfaces]
    canvas.traits[top:, :, 0] = np.array([encode_distance(float(z)) for z in along], np.uint8)[:, None]
    canvas.traits[top:, :, 1] = _GRAIN[surfaces]
    canvas.traits[top:, :, 2] = 0
    canvas.traits[top:, :, 3] = 255
