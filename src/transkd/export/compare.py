"""Whether an exported file does what its source does: both run on the same images, the difference in figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from transkd.errors import ExportError
from transkd.export.graph import ExportGraph

Precision = Literal["fp32", "fp16", "int8"]

# fp32: the largest difference of a logit, as a share of the largest logit. Else: the share of pixels of another class.
TOLERANCES: dict[Precision, float] = {"fp32": 1e-4, "fp16": 0.02, "int8": 0.15}
TIE = 1e-4


@dataclass(frozen=True)
class Difference:
    """How an exported file's answer differs from its source's on one batch.

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


def compare(graph: ExportGraph, exported: Callable[[Tensor], Tensor], images: Sequence[Tensor]) -> list[Difference]:
    """Run source and exported file on each batch of images (B, 3, H, W) of the graph's input type.

    Raises:
        ExportError: the source's own logits are not finite.
    """
    return [_difference(graph, exported, batch) for batch in images]


@torch.no_grad()
def _difference(graph: ExportGraph, exported: Callable[[Tensor], Tensor], images: Tensor) -> Difference:
    result, graph.result = graph.result, "logits"
    try:
        expected = graph(images)
    finally:
        graph.result = result
    if not torch.isfinite(expected).all():
        raise ExportError("the source itself gives NaN or infinite logits, so no export of it would be of use")
    found = exported(images)
    scale = max(float(expected.abs().max()), 1e-12)
    logit = math.nan if result == "classes" else float((found - expected).abs().nan_to_num(nan=math.inf).max())
    classes = found if result == "classes" else found.argmax(dim=1)
    top = expected.topk(min(2, expected.shape[1]), dim=1).values
    clear = torch.ones_like(top[:, 0], dtype=torch.bool) if top.shape[1] < 2 else top[:, 0] - top[:, 1] > TIE * scale
    other = (classes.long() != expected.argmax(dim=1)) & clear
    size = (images.shape[-2], images.shape[-1])
    return Difference(images.shape[0], size, logit, scale, float(other.float().mean()))


def check_differences(
    differences: Sequence[Difference], precision: Precision, tolerance: float | None, remedy: str
) -> float:
    """Return the tolerance, having found all differences within it.

    Args:
        differences: what was found.
        precision: of the file.
        tolerance: None takes the precision's.
        remedy: what may make the file come out closer, for the message.

    Raises:
        ExportError: one is past it; says which and by how much.
    """
    allowed = TOLERANCES[precision] if tolerance is None else tolerance
    for difference in differences:
        height, width = difference.size
        where = f"on {difference.batch} image(s) of {height}x{width}"
        by_logits = precision == "fp32" and not math.isnan(difference.logit)
        found = difference.logit / difference.scale if by_logits else difference.pixels
        if math.isnan(found) or found > allowed:
            what = "its logits differ by {:.2e} of the largest logit" if by_logits else "{:.2%} of its pixels differ"
            raise ExportError(
                f"the exported file does not do what its source does: {what.format(found)} {where}, and the tolerance "
                f"is {allowed:g}; it is not kept. {remedy}, or allow more by tolerance=…"
            )
    return allowed
