"""CSF: the student's feature maps, fused from deep to shallow, against the teacher's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch.nn.functional as F
from torch import Tensor, nn

from transkd.distillation.base import DistillationLoss, resample_to
from transkd.distillation.criteria import FEATURE_CRITERIA
from transkd.distillation.registry import register_loss
from transkd.models.taps import Taps
from transkd.options import Positive


def normed_convolution(in_channels: int, channels: int, kernel: int) -> nn.Sequential:
    """Return a convolution of an odd kernel, without bias, that keeps a map's size, and its batch norm."""
    convolution = nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels))


def start_from_kaiming_uniform(*layers: nn.Sequential) -> None:
    """Start the convolutions of :func:`normed_convolution` from Kaiming uniform of slope 1, in the order given."""
    for layer in layers:
        nn.init.kaiming_uniform_(cast(nn.Conv2d, layer[0]).weight, a=1)


class ChannelSelection(nn.Module):
    """Weigh, channel by channel, a stage's own map against the deeper one, by what both hold on average.

    The scheme is that of selective kernel networks (SKNet). A batch norm over a single 1x1 pool is undefined
    in training, so a batch of one goes, in training and evaluation, through its own norm-free squeeze.

    Args:
        channels: channels of both maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(channels // 16, 32)
        self.squeeze = nn.Sequential(nn.Conv2d(channels, squeezed, 1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU())
        self.squeeze_single = nn.Sequential(nn.Conv2d(channels, squeezed, 1, bias=False), nn.ReLU())
        self.own_logit = nn.Conv2d(squeezed, channels, 1)
        self.deeper_logit = nn.Conv2d(squeezed, channels, 1)

    def forward(self, own: Tensor, deeper: Tensor) -> Tensor:
        """Mix two maps of shape (B, channels, H, W) into one."""
        pooled = F.adaptive_avg_pool2d(own + deeper, 1)
        used, idle = self.squeeze, self.squeeze_single
        if len(own) == 1:
            used, idle = idle, used
        # DistributedDataParallel fails on parameters outside the graph: the idle squeeze enters times 0.
        squeezed = used(pooled) + 0.0 * sum(p.sum() for p in idle.parameters())
        # The softmax over two logits is the sigmoid of their difference.
        own_share = (self.own_logit(squeezed) - self.deeper_logit(squeezed)).sigmoid()
        return cast(Tensor, deeper + own_share * (own - deeper))


class FusionStage(nn.Module):
    """One stage of cross selective fusion, with a fused map of ``mid_channels`` that passes from stage to stage."""

    def __init__(self, student_channels: int, mid_channels: int, teacher_channels: int, *, deepest: bool) -> None:
        super().__init__()
        self.reduce = normed_convolution(student_channels, mid_channels, 1)
        self.selection = None if deepest else ChannelSelection(mid_channels)
        self.expand = normed_convolution(mid_channels, teacher_channels, 3)
        start_from_kaiming_uniform(self.reduce, self.expand)

    def forward(self, feature: Tensor, deeper: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Fuse a feature map with the deeper stage's fused map.

        Args:
            feature: (B, C_i, H, W) the student's feature map.
            deeper: (B, mid, h, w) the deeper stage's fused map, None at the deepest.

        Returns:
            The fused map (B, mid, H, W), and what is compared with the teacher's feature map, (B, D_i, H, W).
        """
        fused: Tensor = self.reduce(feature)
        if self.selection is not None and deeper is not None:
            fused = self.selection(fused, F.interpolate(deeper, size=fused.shape[-2:], mode="nearest"))
        return fused, self.expand(fused)


@register_loss("csf")
class CrossSelectiveFusion(DistillationLoss):
    """Cross selective fusion: a feature map of each stage, fused with all deeper ones, mimics the teacher's.

    Args:
        criterion: what maps are compared by: ``"hcl"``, the paper's hierarchical context loss, or channel-wise
            distillation, ``"cwd_positions"`` (a softmax over positions) or ``"cwd_channels"`` (over channels).
        mid_channels: channels of the fused map, 64 in the paper.
    """

    def __init__(
        self,
        student_channels: Sequence[int],
        teacher_channels: Sequence[int],
        *,
        criterion: Literal["hcl", "cwd_positions", "cwd_channels"] = "hcl",
        mid_channels: Positive = 64,
    ) -> None:
        super().__init__(student_channels, teacher_channels)
        self.criterion = criterion
        channels = self.paired_channels()
        self.stages = nn.ModuleList(
            FusionStage(own, mid_channels, teachers, deepest=i == len(channels) - 1)
            for i, (own, teachers) in enumerate(channels)
        )

    def adapt(self, student: Taps) -> list[Tensor]:
        """Return the fused feature maps, per pair (B, D_i, h_i, w_i) at the student's size, shallowest first.

        Raises:
            ConfigError: if the deepest map is one position of one image in training: no batch norm.
        """
        features = self.student_maps(student, "features")
        self.check_batch_norm(student, features[-1])
        fused: Tensor | None = None
        adapted: list[Tensor] = []
        for stage, (index, _) in zip(reversed(self.stages), reversed(self.pairing()), strict=True):
            fused, output = stage(features[index], fused)
            adapted.append(output)
        return adapted[::-1]

    def stage_losses(self, student: Taps, teacher: Taps) -> list[Tensor]:
        """Return the criterion of each pair of stages, shallowest first, scalars in float32."""
        compare = FEATURE_CRITERIA[self.criterion]
        teachers = self.teacher_maps(teacher, "features")
        return [
            compare(resample_to(adapted, teachers[index]), teachers[index])
            for adapted, (_, index) in zip(self.adapt(student), self.pairing(), strict=True)
        ]

    def forward(self, student: Taps, teacher: Taps) -> Tensor:
        """Return the sum over stages, a scalar in float32; see :class:`DistillationLoss`."""
        return cast(Tensor, sum(self.stage_losses(student, teacher)))
