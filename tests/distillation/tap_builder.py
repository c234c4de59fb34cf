"""Random taps of made-up segmenters, and the pair of widths that the paper uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from transkd.distillation import registry
from transkd.models.taps import Taps

STUDENT_CHANNELS = (32, 64, 160, 256)
TEACHER_CHANNELS = (64, 128, 320, 512)
LOSS_NAMES = tuple(sorted(name for name, loss in registry._LOSSES.items() if loss.__module__.startswith("transkd.")))
CLASSES = 5


@dataclass(frozen=True)
class Widths:
    """Stands for a segmenter where only its channels are read."""

    channels: tuple[int, ...]


def random_taps(
    channels: Sequence[int],
    *,
    batch: int = 2,
    image: tuple[int, int] = (64, 96),
    strides: Sequence[int] = (4, 8, 16, 32),
    classes: int = CLASSES,
    seed: int = 0,
) -> Taps:
    """Random taps that require gradient; spatial sizes round up, as overlapping patch embeddings do.

    The logits are at the stride of the first stage.
    """
    generator = torch.Generator().manual_seed(seed)

    def random_map(width: int, stride: int) -> torch.Tensor:
        size = (-(-image[0] // stride), -(-image[1] // stride))
        return torch.randn(batch, width, *size, generator=generator).requires_grad_()

    def maps() -> tuple[torch.Tensor, ...]:
        return tuple(random_map(c, s) for c, s in zip(channels, strides, strict=True))

    images = torch.rand(batch, 3, *image, generator=generator)
    return Taps(images, embeddings=maps(), features=maps(), logits=random_map(classes, strides[0]))


def random_labels(taps: Taps, *, classes: int = CLASSES, seed: int = 0) -> torch.Tensor:
    """Labels (B, H, W) uint8 of the taps' images: stripes of the classes, noise in them, some pixels ignored."""
    generator = torch.Generator().manual_seed(seed)
    batch, _, height, width = taps.images.shape
    labels = (torch.arange(width) * classes // width).expand(batch, height, width).clone()
    for share, values in ((0.1, torch.randint(classes, labels.shape, generator=generator)), (0.1, 255)):
        labels = torch.where(torch.rand(labels.shape, generator=generator) < share, values, labels)
    return labels.to(torch.uint8)
