"""What a segmenter asks of its backbone, and what is registered of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn


class Backbone(nn.Module):
    """Base of the hierarchical transformers that a segmenter is built on.

    Attributes:
        channels: C_i, channels of each stage's patch embedding and feature map.
        strides: s_i, pixels of the image per position of each stage's maps.
        missing_embeddings: why there are no patch embeddings, as a sentence; None where there are.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    missing_embeddings: str | None = None

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return the patch embeddings and the feature maps, one of each per stage.

        Args:
            images: (B, 3, H, W) normalised images.

        Returns:
            Two tuples of tensors (B, C_i, ceil(H/s_i), ceil(W/s_i)).
        """
        raise NotImplementedError  # of each backbone


@dataclass(frozen=True)
class BackboneEntry:
    """How a named backbone is built, and what goes with it where the user names nothing else.

    Attributes:
        build: builds the backbone, randomly initialised, from a stochastic-depth rate.
        head: name of its decode head.
        segformer_width: channels of a SegFormer head on it.
        drop_path_rate: stochastic depth of its deepest block.
    """

    build: Callable[[float], Backbone]
    head: str = "segformer"
    segformer_width: int = 256
    drop_path_rate: float = 0.1
