"""What one pass over a split counted, and all that is read off it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from transkd.evaluation.counts import group_counts
from transkd.evaluation.measures import (
    bootstrap_interval,
    category_ious,
    class_accuracies,
    frequency_weighted_iou,
    mean_iou,
)
from transkd.evaluation.scores import Scores, by_class, finite

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Evaluation:
    """What one pass over a split counted.

    Attributes:
        confusion: (N, K, K) counts of each image, rows are labels and columns predictions.
        images: (N,) the images' places in the split.
        boundary: (2, K) counts for the boundary IoU, None where it was not asked for.
        class_names: K names.
    """

    confusion: Tensor
    images: Tensor
    boundary: Tensor | None
    class_names: tuple[str, ...]

    @property
    def scores(self) -> Scores:
        """Mean IoU, pixel accuracy and IoU of each class over all images."""
        return Scores.from_confusion(self.confusion.sum(0), self.class_names)

    def image_mious(self) -> Tensor:
        """Return the mean IoU of each image (N) over the classes that occur in it; NaN where nothing is labelled."""
        return mean_iou(self.confusion)

    def ranked(self) -> list[int]:
        """Return places in the split, from the best image to the worst; those without labels are left out."""
        scores = self.image_mious()
        order = sorted(range(len(scores)), key=lambda row: (-float(scores[row]), row))
        return [int(self.images[row]) for row in order if not math.isnan(float(scores[row]))]

    def report(
        self,
        *,
        groups: Sequence[str] = (),
        categories: Mapping[str, str] | None = None,
        resamples: int = 1000,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Return all scores as plain values, shares in [0, 1], None where a class or a group has no labelled pixel.

        Args:
            groups: the group of each sample of the split; empty for none.
            categories: class name -> category, where the dataset has them.
            resamples: bootstrap resamples of the images.
            seed: of the resamples.
        """
        total = self.confusion.sum(0)
        overall = self.scores.as_dict()
        accuracies = class_accuracies(total)
        interval = bootstrap_interval(self.confusion, resamples=resamples, confidence=CONFIDENCE, seed=seed)
        report: dict[str, Any] = {
            "miou": overall["miou"],
            "miou_interval": None
            if interval is None
            else {"low": interval[0], "high": interval[1], "confidence": CONFIDENCE, "resamples": resamples},
            "pixel_accuracy": overall["pixel_accuracy"],
            "mean_accuracy": finite(accuracies.nanmean()),
            "frequency_weighted_iou": finite(frequency_weighted_iou(total)),
            "boundary_iou": None,
            "per_class": overall["per_class"],
            "per_class_accuracy": by_class(accuracies, self.class_names),
        }
        if self.boundary is not None:
            ious = self.boundary[0].double() / self.boundary[1]
            report["boundary_iou"] = finite(ious.nanmean())
            report["per_class_boundary_iou"] = by_class(ious, self.class_names)
        if categories is not None:
            by_category = category_ious(total, self.class_names, categories)
            report["per_category"] = by_category
            report["category_miou"] = sum(by_category.values()) / len(by_category) if by_category else None
        if groups:
            report["per_group"] = self._by_group([groups[int(image)] for image in self.images])
        report["images"] = len(self.images)
        return report

    def _by_group(self, groups: Sequence[str]) -> dict[str, dict[str, Any]]:
        return {
            name: {**Scores.from_confusion(confusion, self.class_names).as_dict(), "images": groups.count(name)}
            for name, confusion in group_counts(self.confusion, groups).items()
        }
