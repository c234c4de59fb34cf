"""The camera's own part: exposure, colour cast, lens, sensor noise and compression."""

from __future__ import annotations

from random import Random

import cv2
import numpy as np

from .canvas import Pixels
from .light import Light
from .noise import Field


def photograph(image: Field, light: Light, dice: Random, rng: np.random.Generator) -> Pixels:
    """Return what a camera makes of a float RGB image: exposure, cast, blur, noise, compression.

    Args:
        image: (H, W, 3) in about [0, 255]; changed in place.
        light: night photographs are noisier.
        dice: scalar randomness.
        rng: sensor noise.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    cast = np.array([dice.gauss(1, 0.045) for _ in range(3)], np.float32)
    image *= cast * np.float32(dice.gauss(1.0, 0.13))
    image += np.float32(dice.gauss(0, 5))
    if dice.random() < 0.5:
        rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        columns = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
        image *= (1 - np.float32(dice.uniform(0.05, 0.3)) * (rows * rows + columns * columns) / 2)[:, :, None]
    sigma = abs(dice.gauss(0, 0.5)) * width / 512
    if sigma > 0.25:
        image = cv2.GaussianBlur(image, (0, 0), sigma).astype(np.float32, copy=False)
    noise = dice.uniform(1.0, 6.0) + (dice.uniform(3, 9) if light.time == "night" else 0)
    image += rng.standard_normal((height, width, 1), np.float32) * np.float32(noise)
    image += rng.standard_normal((height, width, 3), np.float32) * np.float32(noise * 0.4)
    flat = np.clip(image, 0, 255)
    gamma = np.exp(dice.gauss(0, 0.13))
    table = (255 * (np.arange(256) / 255) ** gamma).round().astype(np.uint8)
    pixels = table[flat.astype(np.uint8)]
    return _compress(pixels, dice.randint(35, 95)) if dice.random() < 0.6 else pixels


def _compress(pixels: Pixels, quality: int) -> Pixels:
    _, packed = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
