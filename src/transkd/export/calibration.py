"""Images to calibrate and compare with: the user's own, or smooth made-up ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from transkd.data.reading import read_image
from transkd.errors import DataError
from transkd.models.checks import SMALLEST_SIDE

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


def find_images(folder: str | Path, count: int) -> list[Path]:
    """Return ``count`` image files evenly spread over a folder and those below it, or all if there are fewer.

    Raises:
        DataError: there is no such folder, or no image in it.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise DataError(f"calibration images: {root} is not a folder; give one with images of your own")
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise DataError(f"calibration images: {root} holds no images ({', '.join(sorted(SUFFIXES))})")
    step = max(1, len(files) // count)
    return files[::step][:count]


def read_batches(files: Sequence[Path], size: tuple[int, int] | None) -> Iterator[Tensor]:
    """Yield each image as (1, 3, H, W) uint8, resized to ``size`` where one is given.

    Raises:
        DataError: one cannot be read, or is too small for a segmenter and is not resized.
    """
    for path in files:
        image = torch.from_numpy(read_image(path)).permute(2, 0, 1)[None]
        if size is None and min(image.shape[2:]) < SMALLEST_SIDE:
            raise DataError(
                f"calibration images: {path} has {image.shape[2]}x{image.shape[3]} pixels, and a side needs "
                f"{SMALLEST_SIDE} or more; take it out, or give calibration.size=[H,W]"
            )
        yield image if size is None else resized(image, size)


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Return uint8 images (B, 3, H, W) resized to ``size``, smoothed where they shrink."""
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    values = functional.interpolate(images.float(), size, mode="bilinear", antialias=True, align_corners=False)
    return values.round().clamp(0, 255).to(torch.uint8)


def smooth_images(batch: int, size: tuple[int, int], seed: int = 0) -> Tensor:
    """Return made-up uint8 images (B, 3, H, W): patches of colour with soft borders, and a little noise."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 3, 5, 7, generator=generator)
    values = functional.interpolate(coarse, size, mode="bicubic", align_corners=False)
    values = values + 0.03 * torch.randn(batch, 3, *size, generator=generator)
    return (255 * values).round().clamp(0, 255).to(torch.uint8)
