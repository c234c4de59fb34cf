"""Scores of anything that gives logits, in one pass over batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from transkd.evaluation.evaluate import evaluate
from transkd.evaluation.protocol import Resolution
from transkd.evaluation.scores import Scores


def score_model(
    logits_of: Callable[[Tensor], Tensor],
    batches: Iterable[Mapping[str, Any]],
    class_names: Sequence[str],
    resolution: Resolution = "label",
    *,
    outputs: Sequence[int] | None = None,
    device: torch.device | str = "cpu",
) -> Scores:
    """Score a segmenter, or the file it was exported to: :func:`~transkd.evaluation.evaluate.evaluate` in short.

    Args:
        logits_of: from images (B, 3, H, W) to logits (B, K, h, w), such as a segmenter in eval mode.
        batches: with ``"image"`` (B, 3, H, W) and ``"label"`` (B, H, W), 255 is ignored.
        class_names: the dataset's classes.
        resolution: where predictions meet labels, see :class:`~transkd.evaluation.Protocol`.
        outputs: for each class the output that stands for it, from
            :func:`~transkd.evaluation.outputs_for_classes`; by default output k is class k.
        device: where to compute.

    Returns:
        The scores over all batches.
    """
    return evaluate(
        logits_of, batches, class_names, resolution=resolution, outputs=outputs, boundary=False, device=device
    ).scores
