"""The decode head of Panoptic FPN's semantic branch, on a feature pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SemanticFPNHead(nn.Module):
    """A feature pyramid (Lin et al., 2017) and the Semantic-FPN head (Kirillov et al., 2019, section 3.1) on it.

    The pyramid has twice the head's channels. A 1x1 convolution takes each feature map to that width; from the
    deepest on, each map is upsampled to the next shallower one's size, nearest, and added to it; a 3x3
    convolution gives the pyramid's map. There are no norms and no activations. In the head, the shallowest map
    goes through a 3x3 convolution and ReLU, one i stages deeper through i of them, each followed by bilinear
    upsampling by 2; what sizes that are no multiple of the stride leave over, a last bilinear resizing to the
    shallowest map's size mends. The maps are summed; 2-D dropout and a 1x1 classifier follow.

    The pyramid's convolutions start from Kaiming uniform with a = 1, which keeps the scale of what they are
    given, whatever its channels: nothing but additions follows them. Those before a ReLU start from Kaiming
    normal by fan-in, biases from 0, and the classifier near zero (normal, 0.01), so that the first guess is
    almost even.

    Args:
        channels: C_i, channels of each stage's feature map; each stage has twice the stride of the one before.
        num_classes: K.
        width: channels of the head.
        dropout: share of the summed channels that training drops.
    """

    def __init__(self, channels: Sequence[int], num_classes: int, width: int, dropout: float) -> None:
        super().__init__()
        pyramid_width = 2 * width
        self.lateral = nn.ModuleList(nn.Conv2d(c, pyramid_width, 1) for c in channels)
        self.pyramid = nn.ModuleList(nn.Conv2d(pyramid_width, pyramid_width, 3, padding=1) for _ in channels)
        self.scales = nn.ModuleList(
            nn.ModuleList(
                nn.Conv2d(pyramid_width if step == 0 else width, width, 3, padding=1) for step in range(max(1, stage))
            )
            for stage in range(len(channels))
        )
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(width, num_classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.zeros_(module.get_parameter("bias"))
        for module in (*self.lateral, *self.pyramid):
            nn.init.kaiming_uniform_(module.get_parameter("weight"), a=1)
        for module in self.scales.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.normal_(self.classifier.weight, std=0.01)
        self.to(memory_format=torch.channels_last)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return (B, K, H_1, W_1) logits of the feature maps (B, C_i, H_i, W_i), shallowest first."""
        maps = [lateral(feature) for lateral, feature in zip(self.lateral, features, strict=True)]
        for stage in reversed(range(1, len(maps))):
            size = maps[stage - 1].shape[2:]
            maps[stage - 1] = maps[stage - 1] + F.interpolate(maps[stage], size, mode="nearest")
        scales = []
        for stage, (pyramid, convolutions) in enumerate(zip(self.pyramid, self.scales, strict=True)):
            x = pyramid(maps[stage])  # (B, 2 width, H_i, W_i)
            for convolution in cast(nn.ModuleList, convolutions):
                x = F.relu(convolution(x))
                if stage > 0:
                    x = F.interpolate(x, scale_factor=2, mode="bilinear")
            scales.append(x)  # (B, width, about H_1, about W_1)
        summed = scales[0]
        for scale in scales[1:]:
            summed = summed + F.interpolate(scale, summed.shape[2:], mode="bilinear")
        logits: Tensor = self.classifier(self.dropout(summed))
        return logits
