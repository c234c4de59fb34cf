"""Confusion counts of every image on its own, from which all scores of a split, a group or a resample follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


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
    joined, places = _joined(values).cpu(), _joined(indices).cpu()
    kept = {int(index): row for row, index in reversed(list(enumerate(places)))}
    rows = torch.tensor([kept[index] for index in sorted(kept)])
    return joined[rows], places[rows]


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


def _joined(states: list[Tensor] | Tensor) -> Tensor:
    return torch.cat(states) if isinstance(states, list) else states
