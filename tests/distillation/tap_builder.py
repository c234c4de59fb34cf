"""Random taps of made-up segmenters, and the pair of widths that the paper uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from transkd.models.taps import Taps

STUDENT_CHANNELS = (32, 64, 160, 256)
TEACHER_CHANNELS = (64, 128, 320, 512)
LOSS_NAMES = ("csf", "pea", "gl_mixer", "ea")


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
    seed: int = 0,
) -> Taps:
    """Random taps that require gradient; spatial sizes round up, as overlapping patch embeddings do."""
    generator = torch.Generator().manual_seed(seed)

    def maps() -> tuple[torch.Tensor, ...]:
        return tuple(
            torch.randn(batch, c, -(-image[0] // s), -(-image[1] // s), generator=generator).requires_grad_()
            for c, s in zip(channels, strides, strict=True)
        )

    images = torch.rand(batch, 3, *image, generator=generator)
    return Taps(images, embeddings=maps(), features=maps())
