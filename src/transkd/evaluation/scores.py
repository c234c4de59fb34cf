"""From predictions and labels to confusion counts, and from these to IoUs, accuracies and their intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassConfusionMatrix

IGNORE_INDEX = 255
RESAMPLES_AT_ONCE = 256  # bounds the memory where classes are many


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


def class_ious(confusion: Tensor) -> Tensor:
    """Return the IoU of each class (..., K) from counts (..., K, K); NaN for one that occurs in neither."""
    counts = confusion.double()
    right = counts.diagonal(dim1=-2, dim2=-1)
    return right / (counts.sum(-2) + counts.sum(-1) - right)


def mean_iou(confusion: Tensor) -> Tensor:
    """Return the mean IoU (...) over the classes that occur, from counts (..., K, K)."""
    return class_ious(confusion).nanmean(-1)


def class_accuracies(confusion: Tensor) -> Tensor:
    """Return each class's share of right pixels among those labelled so (K); NaN where the labels do not have it."""
    counts = confusion.double()
    return counts.diagonal() / counts.sum(1)


def frequency_weighted_iou(confusion: Tensor) -> float:
    """Return the IoUs' mean weighted by each class's share of the labelled pixels (Long et al., 2015)."""
    counts = confusion.double()
    shares = counts.sum(1) / counts.sum()
    return float((shares * class_ious(confusion).nan_to_num()).sum())


def category_ious(confusion: Tensor, class_names: Sequence[str], categories: Mapping[str, str]) -> dict[str, float]:
    """Return the IoU of each category, where confusions within a category count as right (Cordts et al., 2016).

    Args:
        confusion: (K, K).
        class_names: K names.
        categories: class name -> category.

    Returns:
        Category -> IoU, for the categories that occur.
    """
    names = list(dict.fromkeys(categories[name] for name in class_names))
    belongs = torch.zeros(len(class_names), len(names), dtype=torch.float64)
    for place, name in enumerate(class_names):
        belongs[place, names.index(categories[name])] = 1
    ious = class_ious(belongs.T @ confusion.double() @ belongs)
    return {name: iou for name, iou in zip(names, ious.tolist(), strict=True) if not math.isnan(iou)}


def bootstrap_interval(
    matrices: Tensor, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float] | None:
    """Return a percentile bootstrap confidence interval of the mean IoU over images (Efron, 1979).

    Args:
        matrices: (N, K, K) counts of each image.
        resamples: how often N images are drawn with replacement.
        confidence: share of the resamples inside the interval.
        seed: the same seed draws the same images.

    Returns:
        Its two ends; None for fewer than two images with labels, or without resamples.
    """
    labelled = matrices[matrices.flatten(1).any(1)]
    count = len(labelled)
    if count < 2 or resamples < 1:
        return None
    rng = np.random.default_rng(seed)
    draws = torch.from_numpy(rng.multinomial(count, np.full(count, 1 / count), size=resamples)).double()
    flat = labelled.flatten(1).double()
    parts = [draws[start : start + RESAMPLES_AT_ONCE] for start in range(0, resamples, RESAMPLES_AT_ONCE)]
    scores = torch.cat([mean_iou((part @ flat).reshape(-1, *matrices.shape[1:])) for part in parts]).numpy()
    tail = (1 - confidence) / 2
    low, high = np.quantile(scores, [tail, 1 - tail]).tolist()
    return low, high


def count_images(predictions: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Return the confusion counts (B, K, K) int64 of predictions and labels (B, H, W), by one bincount.

    Ignored pixels go to a row of their own, which is dropped: that is faster than picking out the others.
    """
    batch, rows = predictions.shape[0], num_classes + 1
    image = torch.arange(batch, device=labels.device, dtype=torch.int32).view(-1, 1, 1)
    row = labels.clamp_max(num_classes).int() + image * rows
    cell = row * num_classes + predictions.int()
    counts = torch.bincount(cell.flatten(), minlength=batch * rows * num_classes)
    return counts.reshape(batch, rows, num_classes)[:, :num_classes]


def group_counts(matrices: Tensor, groups: Sequence[str]) -> dict[str, Tensor]:
    """Return the summed (K, K) counts of each group, from (N, K, K) and the N images' groups, in order of name."""
    return {
        name: matrices[torch.tensor([group == name for group in groups])].sum(0) for name in sorted(set(groups) - {""})
    }


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


class ImageConfusion(Metric):
    """A (K, K) confusion matrix an image, rows are labels and columns predictions; ignored pixels count nothing.

    With several processes the images of all of them are gathered, and one that padding repeated counts once.

    Args:
        num_classes: K.
        **options: as torchmetrics' ``Metric`` takes them.
    """

    full_state_update = False
    matrices: list[Tensor]
    indices: list[Tensor]

    def __init__(self, num_classes: int, **options: Any) -> None:
        super().__init__(**options)
        self.num_classes = num_classes
        self.add_state("matrices", default=[], dist_reduce_fx="cat")
        self.add_state("indices", default=[], dist_reduce_fx="cat")

    def update(self, predictions: Tensor, labels: Tensor, indices: Tensor) -> None:
        """Count one batch.

        Args:
            predictions: (B, H, W) classes.
            labels: (B, H, W), 255 is ignored.
            indices: (B,) each image's place in the split.
        """
        self.matrices.append(count_images(predictions, labels, self.num_classes))
        self.indices.append(indices.to(predictions.device))

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return (N, K, K) counts on the CPU and the N images' places in the split, ascending."""
        if len(self.indices) == 0:
            return torch.zeros(0, self.num_classes, self.num_classes, dtype=torch.int64), torch.zeros(0).long()
        return once_each(self.matrices, self.indices)


def once_each(values: list[Tensor] | Tensor, indices: list[Tensor] | Tensor) -> tuple[Tensor, Tensor]:
    """Return the values (N, ...) of each image once, and the N images' places in the split, ascending, on the CPU."""
    values_of_all, places = joined(values).cpu(), joined(indices).cpu()
    kept = {int(index): row for row, index in reversed(list(enumerate(places)))}
    rows = torch.tensor([kept[index] for index in sorted(kept)])
    return values_of_all[rows], places[rows]


def joined(states: list[Tensor] | Tensor) -> Tensor:
    """Return a metric's state as one tensor, as torchmetrics keeps it before and after it gathers processes."""
    return torch.cat(states) if isinstance(states, list) else states
