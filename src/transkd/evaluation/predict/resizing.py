"""The size that a segmenter sees a picture at."""

from __future__ import annotations

import cv2

from transkd.errors import DataError
from transkd.evaluation.pictures import Pixels
from transkd.models.checks import SMALLEST_SIDE

Size = int | tuple[int, int] | None
"""A short side in pixels (the aspect ratio stays), an exact (height, width), or None for a picture's own."""
MOST_ENLARGED = 2**24
"""No picture is enlarged to more pixels: a strip of 3x5000 with a short side of 512 would be one of 512x853333."""


def input_size(
    own: tuple[int, int], size: Size, least: tuple[int, int] = (SMALLEST_SIDE, SMALLEST_SIDE)
) -> tuple[int, int]:
    """Return the height and width that a picture is resized to.

    Args:
        own: the picture's height and width.
        size: what was asked for.
        least: the smallest height and width that the segmenter takes.

    Raises:
        DataError: it would be enlarged beyond ``MOST_ENLARGED``.
    """
    if size is None:
        height, width = own
    elif isinstance(size, int):
        factor = size / min(own)
        height, width = (round(side * factor) for side in own)
    else:
        height, width = size
    height, width = max(least[0], height), max(least[1], width)
    if height * width > max(MOST_ENLARGED, own[0] * own[1]):
        raise DataError(
            f"{own[0]}x{own[1]} pixels would be enlarged to {height}x{width} for the model: "
            "give another size, such as size=native"
        )
    return height, width


def resize(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize a picture as the loader of training does: bilinear, where smaller by the mean of areas.

    Args:
        image: (H, W, 3) uint8.
        size: height and width.
    """
    if image.shape[:2] == size:
        return image
    smaller = size[0] < image.shape[0] or size[1] < image.shape[1]
    resized: Pixels = cv2.resize(
        image, (size[1], size[0]), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    )
    return resized
