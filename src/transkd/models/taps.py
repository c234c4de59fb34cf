"""What a forward pass of a segmenter shows to a distillation loss."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Taps:
    """The patch embeddings, feature maps and, if asked for, the logits of one forward pass.

    All tensors are spatial (NCHW), whatever layout the backbone uses inside; stages run from stride 4 to 32.

    Attributes:
        images: (B, 3, H, W) the image as the backbone sees it, scaled and normalised.
        embeddings: per stage (B, C_i, H/s_i, W/s_i), the patch embedding after its norm (LVT's before it, as TransKD's
            release takes it); empty where the backbone has none.
        features: per stage (B, C_i, H/s_i, W/s_i), the feature map after the stage's final norm.
        logits: (B, K, H/4, W/4) class logits, None unless they were asked for.
    """

    images: Tensor
    embeddings: tuple[Tensor, ...]
    features: tuple[Tensor, ...]
    logits: Tensor | None = None
