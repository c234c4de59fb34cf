"""Scores of a segmenter from one accumulated confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from transkd.evaluation.counts import count_images
from transkd.evaluation.measures import class_ious, mean_iou

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
        right = float(counts.diagonal().sum() / counts.sum())
        return cls(float(mean_iou(counts)), right, by_class(class_ious(counts), class_names))

    def as_dict(self) -> dict[str, Any]:
        """Return the scores as plain values, ready for JSON: None where there is no number."""
        return {
            "miou": finite(self.miou),
            "pixel_accuracy": finite(self.pixel_accuracy),
            "per_class": dict(self.per_class),
        }


def finite(value: float | Tensor) -> float | None:
    """Return a number, None for NaN, which JSON does not have."""
    return None if math.isnan(value) else float(value)


def by_class(values: Tensor, class_names: Sequence[str]) -> dict[str, float | None]:
    """Return the K values of a measure by class name, None where a class has none (NaN)."""
    return {name: finite(value) for name, value in zip(class_names, values.tolist(), strict=True)}


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
