"""The size that a segmenter sees a picture at."""

from __future__ import annotations

import cv2

from transkd.evaluation.pictures import Pixels
from transkd.models.checks import SMALLEST_SIDE

Size = int | tuple[int, int] | None
"""A short side in pixels (the aspect ratio stays), an exact (height, width), or None for a picture's own."""


def input_size(
    own: tuple[int, int], size: Size, least: tuple[int, int] = (SMALLEST_SIDE, SMALLEST_SIDE)
) -> tuple[int, int]:
    """Return the height and width that a picture is resized to.

    Args:
        own: the picture's height and width.
        size: what was asked for.
        least: the smallest height and width that the segmenter takes.
    """
    if size is None:
        height, width = own
    elif isinstance(size, int):
        factor = size / min(own)
        height, width = (round(side * factor) for side in own)
    else:
        height, width = size
    return max(least[0], height), max(least[1], width)


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
