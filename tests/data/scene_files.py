"""Makes image and label files for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (24, 32)


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
