"""Models that answer with class ids instead of logits, scored as far as that is sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from transkd.errors import ConfigError
from transkd.evaluation.inference import Inference, LogitsOf
from transkd.evaluation.protocol import Resolution

REMEDY = "export it again with result=logits, or score the segmenter that was exported"


def logits_of_ids(
    predict: Callable[[Tensor], Tensor],
    num_classes: int,
    outputs: Sequence[int],
    *,
    model: str,
    inference: Inference,
    resolution: Resolution,
) -> LogitsOf:
    """Let a model of class ids be scored as one of logits: 1 for the class of a pixel, 0 for all others.

    Ids cannot be averaged or resized as logits are, and a class that is not the dataset's cannot give way to the
    next likely one; so this is for one look at the whole image, with scores at the image's own pixels.

    Args:
        predict: from images (B, 3, H, W) to class ids (B, H, W).
        num_classes: how many classes the ids are of.
        outputs: the ids that stand for the dataset's classes.
        model: what to call it in errors.
        inference: how it is applied.
        resolution: where predictions meet labels.

    Returns:
        From images (B, 3, H, W) to (B, num_classes, H, W) float32.

    Raises:
        ConfigError: this protocol or dataset needs logits.
    """
    reason = None
    if not inference.is_plain:
        reason = "windows, scales and flip average logits"
    elif resolution != "label":
        reason = "this protocol scores logits at a quarter of the image's size"
    elif len(set(outputs)) != num_classes:
        reason = f"{num_classes - len(set(outputs))} of its classes are not the dataset's"
    if reason is not None:
        raise ConfigError(f"{model} gives class ids, not logits, and {reason}: {REMEDY}")

    def logits(images: Tensor) -> Tensor:
        ids = predict(images)[:, None]
        return torch.zeros(len(ids), num_classes, *ids.shape[2:]).scatter_(1, ids, 1.0)

    return logits


def refuse_resizing(images: Tensor, labels: Tensor) -> None:
    """Raise a ConfigError where class ids of ``images`` would have to be resized to meet ``labels``."""
    if images.shape[-2:] != labels.shape[-2:]:
        size, wanted = ("x".join(map(str, maps.shape[-2:])) for maps in (images, labels))
        raise ConfigError(
            f"the model gives class ids of {size}, which cannot be resized as logits are to labels of {wanted}: "
            f"{REMEDY}, or set data.size={'[' + wanted.replace('x', ',') + ']'}"
        )
