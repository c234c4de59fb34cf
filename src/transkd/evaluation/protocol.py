"""How a score was made: two scores compare only where their protocols are equal."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

Resolution = Literal["label", "logit"]


def labels_at(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Return label maps (B, H, W) nearest-resized to ``size`` (height, width), taking each pixel's centre."""
    if tuple(labels.shape[-2:]) == size:
        return labels
    return functional.interpolate(labels[:, None].float(), size, mode="nearest-exact")[:, 0].to(labels.dtype)


def logits_at(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Return logits (B, K, h, w) resized bilinearly to ``size`` (height, width)."""
    if tuple(logits.shape[-2:]) == size:
        return logits
    return functional.interpolate(logits, size, mode="bilinear", align_corners=False)


def match_resolution(logits: Tensor, labels: Tensor, resolution: Resolution) -> tuple[Tensor, Tensor]:
    """Bring logits and labels to one size.

    Args:
        logits: (B, K, h, w).
        labels: (B, H, W).
        resolution: ``"label"`` resizes the logits bilinearly to (H, W); ``"logit"`` nearest-resizes the labels
            to (h, w), as TransKD's published code does for its loss and for every score it publishes.

    Returns:
        Logits and labels of the same height and width.
    """
    if resolution == "label":
        height, width = labels.shape[-2:]
        return logits_at(logits, (height, width)), labels
    height, width = logits.shape[-2:]
    return logits, labels_at(labels, (height, width))


@torch.no_grad()
def classes_and_labels(logits: Tensor, labels: Tensor, resolution: Resolution) -> tuple[Tensor, Tensor]:
    """Return the predicted classes (B, H, W) int64 and the labels at the resolution that is scored."""
    logits, labels = match_resolution(logits.float(), labels, resolution)
    return logits.argmax(dim=1), labels


@dataclass(frozen=True)
class Protocol:
    """How a score was made.

    Attributes:
        dataset: registered name of the dataset.
        split: which split was scored.
        input_size: short side, or [height, width], the images were resized to; "native" is their own size.
        resolution: where predictions meet labels: ``"label"`` (the label map's size) or ``"logit"`` (a quarter
            of the input).
        label_size: ``"image"`` if labels were resized with the images, ``"own"`` if they kept their file's size.
        inference: the ``"whole"`` image at once, or by windows that ``"slide"``.
        crop: height and width of the windows.
        stride: pixels from one window to the next, down and to the right.
        scales: input scales whose predictions are averaged.
        flip: whether the mirrored image is averaged in.
        options: what else chose the images, such as ACDC's conditions.
        images: how many images were scored, where it is less than the split; None is all of it.
    """

    dataset: str
    split: str
    input_size: int | str | list[int]
    resolution: Resolution
    label_size: Literal["image", "own"] = "image"
    inference: Literal["whole", "slide"] = "whole"
    crop: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    images: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the protocol as plain values, ready for JSON."""
        values = asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
