"""From predictions and labels to confusion counts, and from these to IoUs, accuracies and their intervals.

Boundary IoU counts near the borders between classes alone, where small networks are weakest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
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
    """Return the IoU of each category that occurs, where confusions within one count as right (Cordts et al., 2016).

    ``confusion`` is (K, K), and ``categories`` gives the category of each of the K class names.
    """
    names = list(dict.fromkeys(categories[name] for name in class_names))
    belongs = torch.zeros(len(class_names), len(names), dtype=torch.float64)
    for number, name in enumerate(class_names):
        belongs[number, names.index(categories[name])] = 1
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


class ConfusionCounts(MulticlassConfusionMatrix):
    """torchmetrics' confusion matrix, counted by one bincount.

    Where deterministic algorithms are requested, torchmetrics compares every pixel with every cell of the matrix
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


class ImageCounts(Metric):
    """Counts of each image, such as its confusion matrix or its :func:`boundary_counts`.

    With several processes the images of all of them are gathered, and one that padding repeated counts once.

    Args:
        shape: of the counts of one image.
        **options: as torchmetrics' ``Metric`` takes them.
    """

    full_state_update = False
    counts: list[Tensor]
    indices: list[Tensor]

    def __init__(self, *shape: int, **options: Any) -> None:
        super().__init__(**options)
        self.shape = shape
        self.add_state("counts", default=[], dist_reduce_fx="cat")
        self.add_state("indices", default=[], dist_reduce_fx="cat")

    def update(self, counts: Tensor, indices: Tensor) -> None:
        """Add the counts (B, *shape) of one batch, whose images have the indices (B,) in the split."""
        self.counts.append(counts)
        self.indices.append(indices.to(counts.device))

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return (N, *shape) counts on the CPU and the N images' indices in the split, ascending."""
        if len(self.indices) == 0:
            return torch.zeros(0, *self.shape, dtype=torch.int64), torch.zeros(0).long()
        counts, indices = (joined(states).cpu() for states in (self.counts, self.indices))
        rows = {int(index): row for row, index in reversed(list(enumerate(indices.reshape(-1))))}
        chosen = torch.tensor([rows[index] for index in sorted(rows)])
        return counts.reshape(-1, *self.shape)[chosen], indices.reshape(-1)[chosen]


def joined(states: list[Tensor] | Tensor) -> Tensor:
    """Return a metric's state as one tensor, as torchmetrics keeps it before and after it gathers processes."""
    return torch.cat(states) if isinstance(states, list) else states


def boundary_distance(height: int, width: int) -> int:
    """Return the boundary's width in pixels: 2 % of the image's diagonal (Cheng et al., 2021), at least 1."""
    return max(1, round(0.02 * float(np.hypot(height, width))))


def near_boundary(ids: npt.NDArray[np.uint8], distance: int) -> npt.NDArray[np.bool_]:
    """Return which pixels of a class map lie within ``distance`` of another class or of the image's border.

    Distance is counted in rows and columns (the larger of the two), as repeated 3x3 erosions do; the time it takes does
    not grow with it: a pixel is one step further from another class than from the nearest pixel that touches one.

    Args:
        ids: (H, W).
        distance: in pixels.

    Returns:
        (H, W).
    """
    square = np.ones((3, 3), np.uint8)
    inside = cv2.erode(ids, square) == cv2.dilate(ids, square)
    steps = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_C, 3)
    near: npt.NDArray[np.bool_] = steps < distance
    near[:distance] = near[-distance:] = True
    near[:, :distance] = near[:, -distance:] = True
    return near


def boundary_counts(predictions: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Count where the boundary regions of predictions and labels agree, for the boundary IoU of each class.

    The region of a class is what lies within the distance of its outline, inside of it (Cheng et al., "Boundary IoU",
    CVPR 2021, equation 3).

    Args:
        predictions: (B, H, W) classes.
        labels: (B, H, W), 255 is ignored.
        num_classes: K.

    Returns:
        (B, 2, K) int64 on the labels' device: pixels in both regions, and pixels in either.
    """
    counts = np.zeros((len(labels), 2, num_classes), np.int64)
    maps = (values.to("cpu", torch.uint8).numpy() for values in (predictions, labels))
    for image, (predicted, label) in enumerate(zip(*maps, strict=True)):
        distance = boundary_distance(*label.shape)
        labelled = label != IGNORE_INDEX
        of_label = near_boundary(label, distance) & labelled
        of_prediction = near_boundary(np.where(labelled, predicted, IGNORE_INDEX).astype(np.uint8), distance) & labelled
        both = of_label & of_prediction & (label == predicted)
        in_both = np.bincount(label[both], minlength=num_classes)
        of_either = np.bincount(label[of_label], minlength=num_classes)
        of_either += np.bincount(predicted[of_prediction], minlength=num_classes)
        counts[image] = in_both, of_either - in_both
    return torch.from_numpy(counts).to(labels.device)
