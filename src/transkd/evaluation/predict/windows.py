"""Class scores of large pictures by windows, in bands from top to bottom, so that memory holds one band."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from transkd.evaluation.inference import LogitsOf
from transkd.evaluation.protocol import logits_at


@dataclass(frozen=True)
class Windows:
    """Where windows lie.

    Attributes:
        crop: height and width of a window.
        stride: pixels from one window to the next, down and to the right; the last ones end at the border.
    """

    crop: tuple[int, int]
    stride: tuple[int, int]

    @classmethod
    def of(cls, crop: tuple[int, int], stride: tuple[int, int] | None) -> Windows:
        """Return windows that overlap by a third where no stride is given."""
        return cls(crop, stride or (max(1, 2 * crop[0] // 3), max(1, 2 * crop[1] // 3)))


@torch.no_grad()
def bands(logits_of: LogitsOf, image: Tensor, windows: Windows, batch_size: int) -> Iterator[tuple[int, Tensor]]:
    """Yield the logits of a picture band by band; those of windows that overlap are averaged.

    Args:
        logits_of: from images (B, 3, h, w) to logits (B, K, h', w').
        image: (3, H, W) uint8, or floating point in [0, 1].
        windows: where to look.
        batch_size: how many windows are computed at once.

    Yields:
        The band's first row, and its logits (K, rows, W). The bands cover the picture without a gap.
    """
    height, width = image.shape[-2:]
    crop_height, crop_width = min(windows.crop[0], height), min(windows.crop[1], width)
    lefts = _starts(width, crop_width, windows.stride[1])
    tops = _starts(height, crop_height, windows.stride[0])
    counts = torch.zeros(width, device=image.device)
    for left in lefts:
        counts[left : left + crop_width] += 1
    total = image.new_empty(0, dtype=torch.float32)
    rows = image.new_empty(0, dtype=torch.float32)
    for top, following in pairwise([*tops, height]):
        row = _row(logits_of, image[:, top : top + crop_height], lefts, (crop_height, crop_width), batch_size)
        if total.numel():
            kept = total.shape[1]
            row[:, :kept] += total
            ones = torch.ones(crop_height, device=image.device)
            ones[:kept] += rows
            rows = ones
        else:
            rows = torch.ones(crop_height, device=image.device)
        done = following - top
        yield top, row[:, :done] / (rows[:done, None] * counts)
        total, rows = row[:, done:].clone(), rows[done:]


def _row(logits_of: LogitsOf, strip: Tensor, lefts: list[int], crop: tuple[int, int], batch_size: int) -> Tensor:
    """Return the sum (K, h, W) of the logits of a row of windows."""
    total: Tensor | None = None
    for start in range(0, len(lefts), batch_size):
        some = lefts[start : start + batch_size]
        images = torch.stack([strip[:, :, left : left + crop[1]] for left in some])
        logits = logits_at(logits_of(images).float(), crop)
        if total is None:
            total = logits.new_zeros(logits.shape[1], crop[0], strip.shape[-1])
        for left, window in zip(some, logits, strict=True):
            total[:, :, left : left + crop[1]] += window
    assert total is not None
    return total


def _starts(length: int, window: int, step: int) -> list[int]:
    """Return where windows begin so that they cover ``length``, none past its end."""
    return sorted({*range(0, length - window, step), length - window})
