"""SegFormer's head in the form that it was published in, to count what that form costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transkd.models import Segmenter
from transkd.models.heads.segformer import SegFormerHead


def published_forward(network: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """Return a forward pass of ``network`` through the published form of its SegFormer head.

    Returns:
        From (B, 3, H, W) images to (B, K, H/4, W/4) logits; None for a network that has no such head.
    """
    if not isinstance(network, Segmenter) or not isinstance(network.head, SegFormerHead):
        return None
    head = network.head
    return lambda images: unfactorised(head, network.encode(images).features)


def unfactorised(head: SegFormerHead, features: Sequence[Tensor]) -> Tensor:
    """Return the head's logits as SegFormer computes them (Xie et al., 2021, section 3.2).

    Each feature map goes through its linear layer and is upsampled to the size of the first; a 1x1 convolution fuses
    their concatenation, deepest first.

    Args:
        head: the head.
        features: per stage (B, C_i, H_i, W_i), shallowest first.

    Returns:
        (B, K, H_1, W_1), in evaluation the same as ``head(features)`` up to rounding.
    """
    size = features[0].shape[2:]
    layers = cast("list[nn.Linear]", list(head.linear))
    widened = [
        F.interpolate(layer(feature.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), size, mode="bilinear")
        for layer, feature in zip(layers, features, strict=True)
    ]
    fused = head.norm(head.fuse(torch.cat(widened[::-1], dim=1)))
    return cast(Tensor, head.classifier(head.dropout(F.relu(fused))))
