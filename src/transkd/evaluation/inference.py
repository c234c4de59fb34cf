"""From images to class scores: in one piece, by windows, at several scales, mirrored too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from transkd.errors import ConfigError
from transkd.evaluation.protocol import logits_at
from transkd.options import SMALLEST_SIDE

LogitsOf = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Inference:
    """How a segmenter is applied to an image.

    Attributes:
        crop: height and width of a window; None for the whole image at once.
        stride: from one window to the next, in pixels, None for two thirds of the window; the last window of a row or
            column ends at the border.
        scales: factors that the image is resized by, whose predictions are averaged.
        flip: whether the mirrored image's prediction is averaged in.
    """

    crop: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False

    @property
    def steps(self) -> tuple[int, int] | None:
        """From one window to the next, down and to the right; None where there are no windows."""
        if self.crop is None or self.stride is not None:
            return self.stride
        return max(1, 2 * self.crop[0] // 3), max(1, 2 * self.crop[1] // 3)

    @property
    def is_plain(self) -> bool:
        """Whether the segmenter's own logits of the whole image are all that is taken."""
        return self.crop is None and self.scales == (1.0,) and not self.flip

    @property
    def averages(self) -> bool:
        """Whether :func:`infer` gives the mean of several views' softmax, not logits."""
        return self.flip or len(self.scales) > 1


@torch.no_grad()
def infer(logits_of: LogitsOf, images: Tensor, inference: Inference) -> Tensor:
    """Return class scores of images.

    Args:
        logits_of: from images (B, 3, h, w) to logits (B, K, h', w').
        images: (B, 3, H, W) uint8, or floating point in [0, 1].
        inference: what to do.

    Returns:
        The segmenter's own logits where ``inference`` is plain; else (B, K, H, W): logits for one view, the mean of
        the views' softmax for several, as mmsegmentation averages them. Windows that overlap average their logits.

    Raises:
        ConfigError: a scale makes an image smaller than segmenters take.
    """
    if inference.is_plain:
        return logits_of(images)
    size = (images.shape[-2], images.shape[-1])
    total: Tensor | None = None
    views = len(inference.scales) * (1 + inference.flip)
    for view, mirrored in all_views(images, inference):
        logits = dense_logits(logits_of, view, inference)
        logits = logits_at(logits.flip(-1) if mirrored else logits, size)
        if views == 1:
            return logits
        share = logits.softmax(dim=1)
        total = share if total is None else total.add_(share)
    assert total is not None
    return total.div_(views)


def all_views(images: Tensor, inference: Inference) -> Iterator[tuple[Tensor, bool]]:
    """Yield images at each scale, and whether they are mirrored."""
    for scale in inference.scales:
        view = scaled(images, scale)
        yield view, False
        if inference.flip:
            yield view.flip(-1), True


def scaled(images: Tensor, scale: float) -> Tensor:
    """Return images at a factor of their size.

    Raises:
        ConfigError: that makes them smaller than segmenters take.
    """
    if scale == 1.0:
        return images
    values = images.float() / 255 if images.dtype == torch.uint8 else images
    size = [round(side * scale) for side in images.shape[-2:]]
    if min(size) < SMALLEST_SIDE:
        raise ConfigError(
            f"scale {scale:g} makes {size[0]}x{size[1]} pixels of an image of {images.shape[-2]}x{images.shape[-1]}, "
            f"and a segmenter needs {SMALLEST_SIDE} a side: leave out that scale, or give larger images"
        )
    return functional.interpolate(values, size, mode="bilinear", align_corners=False)


def dense_logits(logits_of: LogitsOf, images: Tensor, inference: Inference) -> Tensor:
    """Return logits at the images' own size, of the whole or from windows."""
    height, width = images.shape[-2:]
    steps = inference.steps
    if inference.crop is None or steps is None:
        return logits_at(logits_of(images).float(), (height, width))
    crop_height, crop_width = min(inference.crop[0], height), min(inference.crop[1], width)
    total: Tensor | None = None
    counts = torch.zeros(height, width, device=images.device)
    for top in window_starts(height, crop_height, steps[0]):
        for left in window_starts(width, crop_width, steps[1]):
            region = (..., slice(top, top + crop_height), slice(left, left + crop_width))
            logits = logits_at(logits_of(images[region]).float(), (crop_height, crop_width))
            if total is None:
                total = logits.new_zeros(*logits.shape[:2], height, width)
            total[region] += logits
            counts[region] += 1
    assert total is not None
    return total.div_(counts)


def window_starts(length: int, window: int, step: int) -> list[int]:
    """Return where windows begin so that they cover ``length``, none past its end."""
    return sorted({*range(0, length - window, step), length - window})
