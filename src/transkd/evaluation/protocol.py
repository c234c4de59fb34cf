"""How a score was made: two scores compare only where their protocols are equal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

Resolution = Literal["label", "logit"]
TITLE = "name"
OPTIONS = "options"
SORTED_BY = "group"


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


def protocol_facts(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two protocols are compared by, a value a key: all but their name, with defaults filled in.

    Each option of the dataset is a key of its own (``options.conditions``), but for ``group``, by which scores are only
    sorted.

    Args:
        protocol: what ``results.json`` or ``scores.json`` has under ``protocol``.
    """
    facts = {**Protocol("", "", "native", "label").as_dict(), **protocol}
    options = facts.pop(OPTIONS) or {}
    return {key: value for key, value in facts.items() if key != TITLE} | {
        f"{OPTIONS}.{key}": value for key, value in options.items() if key != SORTED_BY
    }


def protocol_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """List the keys in which two results' protocols differ, with both values; empty where their scores compare.

    What a protocol is called (``name``) is no part of it, nor are the groups that scores are sorted by.

    Args:
        one: what ``results.json`` or ``scores.json`` has under ``protocol``.
        other: the same of another result.
    """
    mine, theirs = protocol_facts(one), protocol_facts(other)
    return [
        f"{key}: {mine.get(key)} and {theirs.get(key)}"
        for key in dict.fromkeys((*mine, *theirs))
        if mine.get(key) != theirs.get(key)
    ]
