"""One pass over a split: predictions, and their counts against the labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from transkd.errors import ConfigError, NonFiniteError
from transkd.evaluation.class_match import refuse_resizing, select_outputs
from transkd.evaluation.inference import Inference, infer
from transkd.evaluation.protocol import Resolution, classes_and_labels, logits_at
from transkd.evaluation.report import Evaluation
from transkd.evaluation.scores import ImageCounts, Scores, boundary_counts, count_images

LOGIT_STRIDE = 4


@dataclass(frozen=True)
class Prediction:
    """What was predicted of one batch.

    Attributes:
        logits: (B, K, h, w) of the dataset's classes in order; their softmax where several views were averaged.
        classes: (B, H, W) int64, where they met the labels.
        index: (B,) the images' indices in the split.
    """

    logits: Tensor
    classes: Tensor
    index: Tensor


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
    of_ids: bool = False,
    device: torch.device | str = "cpu",
    image_names: Sequence[str] = (),
    keep: Callable[[Prediction], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Score a segmenter, or the file it was exported to, in one pass.

    With several processes, each with batches of its own, all get the counts of all.

    Args:
        logits_of: from images (B, 3, H, W) to logits (B, K', h, w), such as a segmenter in eval mode.
        batches: with ``"image"`` (B, 3, H, W), ``"label"`` (B, H', W'), 255 is ignored, and ``"index"`` (B,), their
            indices in the split; by default they count on.
        class_names: the dataset's K classes.
        resolution: where predictions meet labels, see :class:`~transkd.evaluation.Protocol`.
        inference: windows, scales and flip; the whole image once by default.
        outputs: for each class the output that stands for it, from
            :func:`~transkd.evaluation.outputs_for_classes`; by default output k is class k.
        boundary: also count for the boundary IoU.
        of_ids: the logits stand for class ids (:func:`~transkd.evaluation.class_match.logits_of_ids`), which must meet
            labels of their own size.
        device: where to compute.
        image_names: what to call the images of the split in errors.
        keep: is given the predictions of each batch.
        progress: called with the number of images done after each batch.

    Returns:
        The counts, and all that is read off them.

    Raises:
        ConfigError: scores at the logits' own resolution from a file whose logits are at the image's size.
        NonFiniteError: the model gives NaN or infinite logits, which have no class; names the image.
    """
    how, names = inference or Inference(), tuple(class_names)
    count = len(names)
    meter, near = ImageCounts(count, count), ImageCounts(2, count) if boundary else None
    chosen = range(count) if outputs is None else outputs
    done = 0
    for batch in batches:
        images, labels = batch["image"].to(device), batch["label"].to(device)
        index = batch["index"] if "index" in batch else torch.arange(done, done + len(images))
        if of_ids:
            refuse_resizing(images, labels)
        logits = select_outputs(infer(logits_of, images, how), chosen)
        refuse_non_finite(logits, index, image_names)
        scored = at_logit_stride(logits, images, how) if resolution == "logit" else logits
        predicted, labels = classes_and_labels(scored, labels, resolution)
        meter.update(count_images(predicted, labels, count), index)
        if near is not None:
            near.update(boundary_counts(predicted, labels, count), index)
        if keep is not None:
            keep(Prediction(logits, predicted, index))
        done += len(images)
        if progress is not None:
            progress(done)
    confusion, indices = meter.compute()  # torchmetrics takes all dimensions from a tensor of one element
    matrices, near_counts = confusion.reshape(-1, count, count), None if near is None else near.compute()[0].sum(0)
    return Evaluation(matrices, indices.reshape(-1), near_counts, names)


def refuse_non_finite(logits: Tensor, index: Tensor, names: Sequence[str]) -> None:
    """Raise a NonFiniteError that names the first image whose logits have no class."""
    if logits.sum().isfinite() or logits.isfinite().all():  # the sum needs no memory, and overflows at worst
        return
    row = next(row for row, of_image in enumerate(logits) if not of_image.isfinite().all())
    number = int(index[row])
    image = names[number] if number < len(names) else f"image {number} of the split"
    raise NonFiniteError(
        f"{image}: the model gives NaN or infinite logits, which have no class; its weights "
        "are damaged, or 16 bits do not suffice for it (precision=fp32 is the default)"
    )


def at_logit_stride(logits: Tensor, images: Tensor, how: Inference) -> Tensor:
    """Return logits at a quarter of the image's size, where the published scores are taken."""
    sides = images.shape[-2:]
    size = (math.ceil(sides[0] / LOGIT_STRIDE), math.ceil(sides[1] / LOGIT_STRIDE))
    if all(found in (side // LOGIT_STRIDE, up) for found, side, up in zip(logits.shape[-2:], sides, size, strict=True)):
        return logits  # backbones that do not pad their input round down
    if how.is_plain:
        raise ConfigError(
            "this protocol scores logits at a quarter of the image's size, but the model gives "
            f"{logits.shape[-2]}x{logits.shape[-1]} for an image of {images.shape[-2]}x{images.shape[-1]}: score the "
            "segmenter that was exported, or use protocol=full"
        )
    return logits_at(logits, size)


def score_model(
    logits_of: Callable[[Tensor], Tensor],
    batches: Iterable[Mapping[str, Any]],
    class_names: Sequence[str],
    resolution: Resolution = "label",
    *,
    outputs: Sequence[int] | None = None,
    device: torch.device | str = "cpu",
) -> Scores:
    """Score a segmenter, or the file it was exported to: :func:`~transkd.evaluation.evaluate.evaluate` in short.

    Args:
        logits_of: from images (B, 3, H, W) to logits (B, K, h, w), such as a segmenter in eval mode.
        batches: with ``"image"`` (B, 3, H, W) and ``"label"`` (B, H, W), 255 is ignored.
        class_names: the dataset's classes.
        resolution: where predictions meet labels, see :class:`~transkd.evaluation.Protocol`.
        outputs: for each class the output that stands for it; by default output k is class k.
        device: where to compute.
    """
    evaluation = evaluate(
        logits_of, batches, class_names, resolution=resolution, outputs=outputs, boundary=False, device=device
    )
    return evaluation.scores
