"""Scores of anything that gives logits or classes, in one pass over batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from transkd.evaluation.class_match import select_outputs
from transkd.evaluation.protocol import Resolution, classes_and_labels
from transkd.evaluation.scores import Scores, score_meter


@torch.no_grad()
def score_model(
    logits_of: Callable[[Tensor], Tensor],
    batches: Iterable[Mapping[str, Any]],
    class_names: Sequence[str],
    resolution: Resolution = "label",
    *,
    outputs: Sequence[int] | None = None,
    device: torch.device | str = "cpu",
) -> Scores:
    """Score a segmenter, or the file it was exported to.

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
    meter = score_meter(len(class_names)).to(device)
    chosen = range(len(class_names)) if outputs is None else outputs
    for batch in batches:
        logits = select_outputs(logits_of(batch["image"].to(device)), chosen)
        meter.update(*classes_and_labels(logits, batch["label"].to(device), resolution))
    return Scores.from_confusion(meter.compute(), class_names)
