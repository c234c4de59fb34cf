"""Scores near the borders between classes, where small networks are weakest."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics import Metric

from transkd.evaluation.scores import IGNORE_INDEX, once_each

Ids = npt.NDArray[np.uint8]
SHARE_OF_DIAGONAL = 0.02


def boundary_distance(height: int, width: int, share: float = SHARE_OF_DIAGONAL) -> int:
    """Return the boundary's width in pixels: 2 % of the image's diagonal (Cheng et al., 2021), at least 1."""
    return max(1, round(share * float(np.hypot(height, width))))


def near_boundary(ids: Ids, distance: int) -> npt.NDArray[np.bool_]:
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


class BoundaryCounts(Metric):
    """The counts of :func:`boundary_counts` over all batches and processes; an image that padding repeated counts once.

    Args:
        num_classes: K.
        **options: as torchmetrics' ``Metric`` takes them.
    """

    full_state_update = False
    counts: list[Tensor]
    indices: list[Tensor]

    def __init__(self, num_classes: int, **options: Any) -> None:
        super().__init__(**options)
        self.num_classes = num_classes
        self.add_state("counts", default=[], dist_reduce_fx="cat")
        self.add_state("indices", default=[], dist_reduce_fx="cat")

    def update(self, predictions: Tensor, labels: Tensor, indices: Tensor) -> None:
        """Count predictions and labels (B, H, W) of the images at the places ``indices`` (B,) of the split."""
        rows = [slice(row, row + 1) for row in range(len(labels))]
        counts = torch.stack([boundary_counts(predictions[row], labels[row], self.num_classes) for row in rows])
        self.counts.append(counts.to(self.device))
        self.indices.append(indices.to(self.device))

    def compute(self) -> Tensor:
        """Return (2, K) counts on the CPU."""
        if len(self.indices) == 0:
            return torch.zeros(2, self.num_classes, dtype=torch.int64)
        return once_each(self.counts, self.indices)[0].sum(0)


def boundary_counts(predictions: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Count where the boundary regions of predictions and labels agree, for the boundary IoU of each class.

    The region of a class is what lies within the distance of its outline, inside of it (Cheng et al., "Boundary IoU",
    CVPR 2021, equation 3).

    Args:
        predictions: (B, H, W) classes.
        labels: (B, H, W), 255 is ignored.
        num_classes: K.

    Returns:
        (2, K) int64: pixels in both regions, and pixels in either.
    """
    counts = np.zeros((2, num_classes), np.int64)
    for predicted, label in zip(id_maps(predictions), id_maps(labels), strict=True):
        distance = boundary_distance(*label.shape)
        labelled = label != IGNORE_INDEX
        of_label = near_boundary(label, distance) & labelled
        of_prediction = near_boundary(np.where(labelled, predicted, IGNORE_INDEX).astype(np.uint8), distance) & labelled
        both = of_label & of_prediction & (label == predicted)
        in_both = np.bincount(label[both], minlength=num_classes)
        counts[0] += in_both
        counts[1] += np.bincount(label[of_label], minlength=num_classes)
        counts[1] += np.bincount(predicted[of_prediction], minlength=num_classes) - in_both
    return torch.from_numpy(counts)


def id_maps(maps: Tensor) -> list[Ids]:
    """Return class maps (B, H, W) as arrays."""
    return list(maps.to("cpu", torch.uint8).numpy())
