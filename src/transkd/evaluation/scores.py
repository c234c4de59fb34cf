"""Scores of a segmenter from one accumulated confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from transkd.evaluation.counts import count_images

IGNORE_INDEX = 255


@dataclass(frozen=True)
class Scores:
    """Scores of one pass over a split, all as fractions in [0, 1].

    Attributes:
        miou: mean IoU over the classes that occur in the labels or in the predictions.
        pixel_accuracy: share of labelled pixels whose class is right.
        per_class: class name -> IoU, None where the class occurs in neither labels nor predictions.
    """

    miou: float
    pixel_accuracy: float
    per_class: dict[str, float | None]

    @classmethod
    def from_confusion(cls, confusion: Tensor, class_names: Sequence[str]) -> Scores:
        """Compute the scores.

        Args:
            confusion: (K, K) pixel counts, rows are labels and columns predictions.
            class_names: K names.

        Returns:
            The scores; ``miou`` and ``pixel_accuracy`` are NaN where no pixel was labelled.
        """
        counts = confusion.to("cpu", torch.float64)
        right = counts.diagonal()
        union = counts.sum(0) + counts.sum(1) - right
        iou = right / union
        present = union > 0
        per_class = {
            name: float(value) if seen else None for name, value, seen in zip(class_names, iou, present, strict=True)
        }
        return cls(float(iou[present].mean()), float(right.sum() / counts.sum()), per_class)


class ConfusionCounts(MulticlassConfusionMatrix):
    """torchmetrics' confusion matrix, counted by one bincount.

    Where deterministic algorithms are asked for, torchmetrics compares every pixel with every cell of the matrix
    instead, which takes a hundred times as long and gigabytes; a bincount without weights is deterministic already.
    """

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count predictions and labels (B, H, W); ignored pixels count nothing."""
        self.confmat += count_images(preds, target, self.num_classes).sum(0)


def score_meter(num_classes: int) -> MulticlassConfusionMatrix:
    """Return a torchmetrics confusion matrix that leaves out ignored pixels (255).

    ``update`` takes predictions and labels (B, H, W); ``compute`` gives (K, K) counts, rows are labels,
    summed over all processes.
    """
    return ConfusionCounts(num_classes, ignore_index=IGNORE_INDEX, validate_args=False)
