"""One pass over a split: everything that a score report says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from transkd.errors import ConfigError
from transkd.evaluation.boundary import BoundaryCounts
from transkd.evaluation.class_match import select_outputs
from transkd.evaluation.counts import ImageConfusion, group_counts
from transkd.evaluation.inference import Inference, infer
from transkd.evaluation.measures import (
    bootstrap_interval,
    category_ious,
    class_accuracies,
    frequency_weighted_iou,
    mean_iou,
)
from transkd.evaluation.protocol import Resolution, classes_and_labels
from transkd.evaluation.scores import Scores, by_class, finite

CONFIDENCE = 0.95
LOGIT_STRIDE = 4


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


@torch.no_grad()
def evaluate(
    logits_of: Callable[[Tensor], Tensor],
    batches: Iterable[Mapping[str, Any]],
    class_names: Sequence[str],
    *,
    resolution: Resolution = "label",
    inference: Inference | None = None,
    outputs: Sequence[int] | None = None,
    boundary: bool = True,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Score a segmenter, or the file it was exported to, in one pass.

    With several processes, each with batches of its own, all get the counts of all.

    Args:
        logits_of: from images (B, 3, H, W) to logits (B, K', h, w), such as a segmenter in eval mode.
        batches: with ``"image"`` (B, 3, H, W), ``"label"`` (B, H', W'), 255 is ignored, and ``"index"`` (B,).
        class_names: the dataset's K classes.
        resolution: where predictions meet labels, see :class:`~transkd.evaluation.Protocol`.
        inference: windows, scales and flip; the whole image once by default.
        outputs: for each class the output that stands for it, from
            :func:`~transkd.evaluation.outputs_for_classes`; by default output k is class k.
        boundary: also count for the boundary IoU.
        device: where to compute.
        progress: is told the number of images done after each batch.

    Returns:
        The counts, and all that is read off them.

    Raises:
        ConfigError: scores at the logits' own resolution from a file whose logits are at the image's size.
    """
    how, names = inference or Inference(), tuple(class_names)
    meter = ImageConfusion(len(names))
    chosen = range(len(names)) if outputs is None else outputs
    near = BoundaryCounts(len(names)).to(device) if boundary else None
    done = 0
    for batch in batches:
        images, labels = batch["image"].to(device), batch["label"].to(device)
        logits = select_outputs(infer(logits_of, images, how), chosen)
        if resolution == "logit":
            logits = _at_logit_stride(logits, images, how)
        predicted, labels = classes_and_labels(logits, labels, resolution)
        meter.update(predicted, labels, batch["index"])
        if near is not None:
            near.update(predicted, labels)
        done += len(images)
        if progress is not None:
            progress(done)
    confusion, places = meter.compute()
    return Evaluation(confusion, places, near.compute() if near is not None else None, names)


def _at_logit_stride(logits: Tensor, images: Tensor, how: Inference) -> Tensor:
    """Return logits at a quarter of the image's size, where the published scores are taken."""
    sides = images.shape[-2:]
    size = [math.ceil(side / LOGIT_STRIDE) for side in sides]
    if all(found in (side // LOGIT_STRIDE, up) for found, side, up in zip(logits.shape[-2:], sides, size, strict=True)):
        return logits  # backbones that do not pad their input round down
    if how.is_plain:
        raise ConfigError(
            "this protocol scores logits at a quarter of the image's size, but the model gives "
            f"{logits.shape[-2]}x{logits.shape[-1]} for an image of {images.shape[-2]}x{images.shape[-1]}: score the "
            "segmenter that was exported, or use protocol=full"
        )
    return torch.nn.functional.interpolate(logits, size, mode="bilinear", align_corners=False)
