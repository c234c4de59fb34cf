"""Whether an exported file gives its source's output: both run on the same images, the difference in figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from transkd.data.reading import read_image
from transkd.errors import DataError, ExportError
from transkd.export.graph import ExportGraph
from transkd.options import SMALLEST_SIDE

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}

Precision = Literal["fp32", "fp16", "int8"]

# fp32: the largest difference of a logit, as a share of the largest logit. Else: the share of pixels of another class.
TOLERANCES: dict[Precision, float] = {"fp32": 1e-4, "fp16": 0.02, "int8": 0.15}
TIE = 1e-4


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
    """Return random uint8 images (B, 3, H, W): patches of colour with soft borders, and a little noise."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 3, 5, 7, generator=generator)
    values = functional.interpolate(coarse, size, mode="bicubic", align_corners=False)
    values = values + 0.03 * torch.randn(batch, 3, *size, generator=generator)
    return (255 * values).round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class Difference:
    """How an exported file's output differs from its source's on one batch.

    Attributes:
        batch: images.
        size: height and width.
        logit: largest absolute difference of a logit, infinite where the file gives NaN; NaN where it gives classes.
        scale: the source's largest absolute logit.
        pixels: share of the pixels whose class differs, ties left out: two logits of the source that differ by less
            than a ten-thousandth of the scale are one.
    """

    batch: int
    size: tuple[int, int]
    logit: float
    scale: float
    pixels: float


@torch.no_grad()
def compare(graph: ExportGraph, exported: Callable[[Tensor], Tensor], images: Sequence[Tensor]) -> list[Difference]:
    """Run source and exported file on each batch of images (B, 3, H, W) of the graph's input type.

    Raises:
        ExportError: the source's own logits are not finite.
    """
    differences = []
    for batch in images:
        expected = graph.logits(batch)
        if not torch.isfinite(expected).all():
            raise ExportError("the source itself gives NaN or infinite logits, so no export of it would be of use")
        found = exported(batch)
        scale = max(float(expected.abs().max()), 1e-12)
        logit, classes = math.nan, found
        if graph.result == "logits":
            logit = float((found - expected).abs().nan_to_num(nan=math.inf).max())
            classes = found.argmax(dim=1)
        top = expected.topk(min(2, expected.shape[1]), dim=1).values
        other = classes.long() != expected.argmax(dim=1)
        if top.shape[1] == 2:
            other &= top[:, 0] - top[:, 1] > TIE * scale
        size = (batch.shape[-2], batch.shape[-1])
        differences.append(Difference(batch.shape[0], size, logit, scale, float(other.float().mean())))
    return differences


def check_differences(
    differences: Sequence[Difference], precision: Precision, tolerance: float | None, remedy: str
) -> float:
    """Return the tolerance (None takes the precision's), having found all differences within it.

    Raises:
        ExportError: one is past it; says which and by how much, and the ``remedy``.
    """
    allowed = TOLERANCES[precision] if tolerance is None else tolerance
    for difference in differences:
        by_logits = precision == "fp32" and not math.isnan(difference.logit)
        found = difference.logit / difference.scale if by_logits else difference.pixels
        if math.isnan(found) or found > allowed:
            pixels = f"{found:.2%} of its pixels differ"
            what = f"its logits differ by {found:.2e} of the largest logit" if by_logits else pixels
            raise ExportError(
                f"the exported file does not do what its source does: {what} on {difference.batch} image(s) of "
                f"{'x'.join(map(str, difference.size))}, and the tolerance is {allowed:g}; it is not kept. {remedy}, "
                "or allow more by tolerance=…"
            )
    return allowed
