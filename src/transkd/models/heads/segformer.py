"""The all-MLP decode head of SegFormer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SegFormerHead(nn.Module):
    """The all-MLP head of SegFormer (Xie et al., 2021, section 3.2), at about half of its multiplications.

    As published, each feature map f_i goes through a linear layer L_i to ``width`` channels and is upsampled
    to stride 4; the maps are concatenated, deepest first, and fused by a 1x1 convolution W. All of that is
    linear, and 1x1 convolutions commute with bilinear upsampling, so the fused map is the sum over stages of
    upsample((W_i L_i) f_i): the small matrices are multiplied, and each stage is convolved at its own
    resolution. Batch norm, ReLU, 2-D dropout and a 1x1 classifier follow; in evaluation the batch norm is
    part of the matrices.

    The parameters are those of the published head, so its weights fit. The linear layers start from PyTorch's
    default, which gives each stage an equal say whatever its width, and the fusing convolution from Kaiming
    normal by fan-out. The classifier starts near zero (normal, 0.01), so that the first guess is even.

    Args:
        channels: C_i, channels of each stage's feature map.
        num_classes: K.
        width: channels of the fused map.
        dropout: share of the fused channels that training drops.
    """

    def __init__(self, channels: Sequence[int], num_classes: int, width: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.ModuleList(nn.Linear(c, width) for c in channels)
        self.fuse = nn.Conv2d(width * len(channels), width, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(width, num_classes, kernel_size=1)
        nn.init.kaiming_normal_(self.fuse.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.get_parameter("bias"))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return (B, K, H_1, W_1) logits of the feature maps (B, C_i, H_i, W_i), shallowest first."""
        fused = _fused(features, *self._stage_matrices())
        if self.norm.training:
            fused = self.norm(fused)
        logits: Tensor = self.classifier(self.dropout(F.relu(fused, inplace=True)))
        return logits

    def folded(self) -> FoldedSegFormerHead:
        """Return the head as it computes in evaluation, its matrices multiplied once and for all."""
        return FoldedSegFormerHead(*self._stage_matrices(), self.classifier)

    def _stage_matrices(self) -> tuple[list[Tensor], Tensor]:
        """Return W_i L_i per stage as 1x1 convolution weights (width, C_i, 1, 1), and the fused bias (width).

        They are computed at the parameters' own precision also under autocast, and rounded once, when used.
        """
        with torch.autocast(self.fuse.weight.device.type, enabled=False):
            layers = cast("list[nn.Linear]", list(self.linear))
            fuse = self.fuse.weight.flatten(1)
            bias = fuse @ torch.cat([layer.bias for layer in reversed(layers)])
            if not self.norm.training:
                scale = self.norm.weight * torch.rsqrt(self.norm.get_buffer("running_var") + self.norm.eps)
                shift = self.norm.bias - scale * self.norm.get_buffer("running_mean")
                fuse, bias = scale[:, None] * fuse, scale * bias + shift
            shallowest_first = reversed(fuse.chunk(len(layers), dim=1))
            matrices = [
                (part @ layer.weight)[..., None, None] for part, layer in zip(shallowest_first, layers, strict=True)
            ]
        return matrices, bias


class FoldedSegFormerHead(nn.Module):
    """A SegFormer head in evaluation: a convolution a stage, a sum, ReLU, a classifier; for export.

    Args:
        matrices: per stage (width, C_i, 1, 1), batch norm included.
        bias: (width).
        classifier: from the fused map to K channels.
    """

    def __init__(self, matrices: Sequence[Tensor], bias: Tensor, classifier: nn.Module) -> None:
        super().__init__()
        self.matrices = nn.ParameterList(nn.Parameter(matrix.detach().clone(), False) for matrix in matrices)
        self.bias = nn.Parameter(bias.detach().clone(), False)
        self.classifier = classifier

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return (B, K, H_1, W_1) logits of the feature maps (B, C_i, H_i, W_i)."""
        logits: Tensor = self.classifier(F.relu(_fused(features, list(self.matrices), self.bias)))
        return logits


def _fused(features: Sequence[Tensor], matrices: Sequence[Tensor], bias: Tensor) -> Tensor:
    fused = F.conv2d(features[0], matrices[0], bias)
    for feature, matrix in zip(features[1:], matrices[1:], strict=True):
        fused += F.interpolate(F.conv2d(feature, matrix), fused.shape[2:], mode="bilinear")
    return fused
