"""Knowledge Review: a feature map of each stage, fused with the deeper ones by attention, against the teacher's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transkd.distillation.base import DistillationLoss
from transkd.distillation.criteria import hierarchical_context
from transkd.distillation.csf import normed_convolution, start_from_kaiming_uniform
from transkd.distillation.registry import register_loss
from transkd.models.taps import Taps
from transkd.options import Positive

WIDEST_MIDDLE = 512


class AttentionFusion(nn.Module):
    """Attention-based fusion (ABF) of one stage: its own map and the deeper one, each weighed at every position.

    The fused map of ``mid_channels`` passes from stage to stage; the deepest stage has nothing to fuse in.
    """

    def __init__(self, student_channels: int, mid_channels: int, teacher_channels: int, *, deepest: bool) -> None:
        super().__init__()
        self.reduce = normed_convolution(student_channels, mid_channels, 1)
        self.attention = None if deepest else nn.Conv2d(2 * mid_channels, 2, 1)
        self.expand = normed_convolution(mid_channels, teacher_channels, 3)
        start_from_kaiming_uniform(self.reduce, self.expand)

    def forward(self, feature: Tensor, size: tuple[int, int], deeper: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Fuse a feature map with the deeper stage's fused map.

        Args:
            feature: (B, C_i, h, w) the student's feature map.
            size: height and width (H, W) of the teacher's feature map.
            deeper: (B, mid, any, any) the deeper stage's fused map, None at the deepest.

        Returns:
            The fused map (B, mid, H, W), and what is compared with the teacher's feature map, (B, D_i, H, W).
        """
        fused: Tensor = self.reduce(feature)
        if self.attention is not None and deeper is not None:
            deeper = _nearest(deeper, (fused.shape[2], fused.shape[3]))
            own_weight, deeper_weight = self.attention(torch.cat((fused, deeper), 1)).sigmoid().split(1, 1)
            fused = own_weight * fused + deeper_weight * deeper
        fused = _nearest(fused, size)
        return fused, self.expand(fused)


@register_loss("kr")
class KnowledgeReview(DistillationLoss):
    """Knowledge Review: hierarchical context loss (HCL) of attention-fused feature maps (ABF), summed over stages.

    From the deepest stage to the shallowest, x = BN(conv1x1(F_i)) at mid channels; the deeper stage's fused map y is
    resized to it (nearest); (a, b) = sigmoid(conv1x1([x, y])), one map each; a x + b y passes on, and BN(conv3x3) of it
    is compared with the teacher's feature map by :func:`~transkd.distillation.criteria.hierarchical_context`.

    Chen et al., "Distilling Knowledge via Knowledge Review", CVPR 2021, section 3. The sigmoid, the resizing to a
    teacher's map of another size before the 3x3 convolution, the initialisation (Kaiming uniform, slope 1), the middle
    width, and the levels and weights of HCL are the reference code's; its fifth level, the globally pooled vector of a
    classifier, is left out.

    Args:
        mid_channels: channels of the fused maps; None for those of the student's deepest stage, 512 at most.
    """

    def __init__(
        self, student_channels: Sequence[int], teacher_channels: Sequence[int], *, mid_channels: Positive | None = None
    ) -> None:
        super().__init__(student_channels, teacher_channels)
        middle = mid_channels or min(WIDEST_MIDDLE, self.student_channels[-1])
        channels = self.paired_channels()
        self.stages = nn.ModuleList(
            AttentionFusion(own, middle, taught, deepest=i == len(channels) - 1)
            for i, (own, taught) in enumerate(channels)
        )

    def stage_losses(self, student: Taps, teacher: Taps) -> list[Tensor]:
        """Return the hierarchical context loss of each pair of stages, shallowest first, scalars in float32.

        Raises:
            ConfigError: if a deepest map is one position of one image in training: no batch norm.
        """
        own, taught = self.student_maps(student, "features"), self.teacher_maps(teacher, "features")
        for deepest in (own[-1], taught[-1]):  # reduced at the student's size, expanded at the teacher's
            self.check_batch_norm(student, deepest)
        fused: Tensor | None = None
        losses: list[Tensor] = []
        for stage, (s, t) in zip(reversed(self.stages), reversed(self.pairing()), strict=True):
            fused, compared = stage(own[s], (taught[t].shape[2], taught[t].shape[3]), fused)
            losses.append(hierarchical_context(compared, taught[t]))
        return losses[::-1]

    def forward(self, student: Taps, teacher: Taps) -> Tensor:
        """Return the sum over stages, a scalar in float32; see :class:`DistillationLoss`."""
        return cast(Tensor, sum(self.stage_losses(student, teacher)))


def _nearest(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return maps if maps.shape[2:] == size else F.interpolate(maps, size=size, mode="nearest")
