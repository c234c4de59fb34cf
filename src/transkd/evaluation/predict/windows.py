"""Class scores of large pictures by windows, in bands from top to bottom, so that memory holds one band."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from transkd.evaluation.inference import Inference, LogitsOf, infer, window_starts


@torch.no_grad()
def bands(logits_of: LogitsOf, image: Tensor, windows: Inference) -> Iterator[tuple[int, Tensor]]:
    """Yield the logits of a picture band by band, equal to those of ``infer`` up to rounding.

    Every row of windows is what ``infer`` gives for the strip that it covers; a pixel's logits are the mean of the
    rows that cover it, since as many windows of each of them do.

    Args:
        logits_of: from images (B, 3, h, w) to logits (B, K, h', w').
        image: (3, H, W) uint8, or floating point in [0, 1].
        windows: one view by windows.

    Yields:
        The band's first row, and its logits (K, rows, W). The bands cover the picture without a gap.
    """
    assert windows.crop is not None
    assert windows.steps is not None
    height = image.shape[-2]
    window = min(windows.crop[0], height)
    total: Tensor | None = None
    rows = torch.zeros(0, device=image.device)
    for top, following in pairwise([*window_starts(height, window, windows.steps[0]), height]):
        strip = infer(logits_of, image[None, :, top : top + window], windows)[0]
        counts = torch.ones(window, device=image.device)
        if total is not None:
            strip[:, : total.shape[1]] += total
            counts[: len(rows)] += rows
        done = following - top
        yield top, strip[:, :done] / counts[:done, None]
        total, rows = strip[:, done:].clone(), counts[done:]
