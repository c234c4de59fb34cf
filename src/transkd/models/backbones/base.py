"""What a segmenter asks of its backbone."""

from __future__ import annotations

from torch import Tensor, nn


class Backbone(nn.Module):
    """Base of the hierarchical transformers that a segmenter is built on.

    Attributes:
        channels: C_i, channels of each stage's patch embedding and feature map.
        strides: s_i, pixels of the image per position of each stage's maps.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return the patch embeddings and the feature maps, one of each per stage.

        Args:
            images: (B, 3, H, W) normalised images.

        Returns:
            Two tuples of tensors (B, C_i, ceil(H/s_i), ceil(W/s_i)).
        """
        raise NotImplementedError
