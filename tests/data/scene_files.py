"""Makes image and label files for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (24, 32)
VOC_SHAPES = {"2007_000032": (281, 500), "2007_000039": (375, 500), "2008_000002": (500, 375)}
VOC_TRAIN, VOC_VAL = ["2007_000032", "2008_000002"], ["2007_000039"]
VOC_AUG = "2010_000001"


def write(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
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


def voc_label(seed: int, shape: tuple[int, int]) -> np.ndarray:
    label = np.kron(ids(seed, range(21), (10, 10)), np.ones((50, 50), np.uint8))[: shape[0], : shape[1]]
    label[:, 30:33] = 255
    return label
