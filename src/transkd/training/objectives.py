"""The task loss: class-weighted cross-entropy with ignored pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from transkd.evaluation import IGNORE_INDEX, Resolution, match_resolution


class SegmentationLoss(nn.Module):
    """Cross-entropy of logits against a label map, in fp32 whatever the precision around it.

    Each labelled pixel counts with its class's weight; the sum is divided by the sum of those weights. A batch
    without a labelled pixel gives 0 (torch's own mean would give NaN).

    Args:
        class_weights: one weight a class, or None for equal weights.
        resolution: ``"logit"`` nearest-resizes the labels to the logits (TransKD's recipe), ``"label"`` resizes
            the logits bilinearly to the labels.
    """

    weight: Tensor | None

    def __init__(self, class_weights: Sequence[float] | None = None, resolution: Resolution = "label") -> None:
        super().__init__()
        weight = None if class_weights is None else torch.tensor(list(class_weights), dtype=torch.float32)
        self.register_buffer("weight", weight, persistent=False)
        self.resolution: Resolution = resolution

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Args:
            logits: (B, K, h, w).
            labels: (B, H, W) class ids, 255 is ignored.
        """
        with torch.autocast(logits.device.type, enabled=False):
            logits, labels = match_resolution(logits.float(), labels, self.resolution)
            target = labels.long()
            total = functional.cross_entropy(logits, target, self.weight, ignore_index=IGNORE_INDEX, reduction="sum")
            labelled = target != IGNORE_INDEX
            share = labelled.float() if self.weight is None else self.weight[target * labelled] * labelled
            mass = share.sum()
            return torch.where(mass > 0, total / mass.clamp_min(torch.finfo(torch.float32).tiny), total)
