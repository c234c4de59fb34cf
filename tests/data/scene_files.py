"""Makes image and label files for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (24, 32)


def write(path: Path, array: np.ndarray, palette: list[int] | None = None) -> Path:
    """Write an image; ids with a palette (256 colours, one channel after the other) as a palette file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette is not None:
        image = image.convert("P")
        image.putdata(array.ravel().tolist())
        image.putpalette(palette)
    image.save(path)
    return path


def picture(index: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (*size, 3), dtype=np.uint8)


def ids(index: int, in_use: range = range(19), size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(index).integers(in_use.start, in_use.stop, size, dtype=np.uint8)


def scene(image: Path, mask: Path, number: int = 0) -> None:
    """Write an image and a mask of the ids 0 to 2."""
    write(image, picture(number))
    write(mask, ids(number, range(3)))


def voc_palette() -> list[int]:
    """As in PASCAL's own VOCcolormap: bit j of the id goes to bit 7-j/3 of channel j%3."""
    colours = np.zeros((256, 3), int)
    for index in range(256):
        for bit in range(8):
            for channel in range(3):
                colours[index, channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
    return colours.ravel().tolist()
