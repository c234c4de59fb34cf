"""MGD: the teacher's feature map, generated from what a mask leaves of the student's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from transkd.distillation.base import resample_to
from transkd.distillation.criteria import mean_squared_error
from transkd.distillation.feature_loss import FeatureLoss
from transkd.distillation.registry import register_loss
from transkd.options import Share


@register_loss("mgd")
class MaskedGenerativeDistillation(FeatureLoss):
    """Masked generative distillation: sum over channels and positions of (G(align(Fs) * M) - Ft)², mean over samples.

    M is 0 at a random share of the positions, drawn anew for each sample and each step, the same for all channels; G
    is a 3x3 convolution, ReLU and a 3x3 convolution at the teacher's width; align is a 1x1 convolution, nothing where
    the widths agree. Yang et al., "Masked Generative Distillation", ECCV 2022, section 3; summed over stages.

    The sum grows with the map: the published weight, 2e-5, is 168 mean squared errors on the reference's maps (2048
    channels at stride 8 of 512x512 pixels), but 5 at a SegFormer's deepest stage (512 channels at stride 32 of
    512x1024). The reference for segmentation trains with ``cwd_logits`` at weight 3 beside it.

    Args:
        stages: as in :class:`FeatureLoss`, the deepest by default.
        mask_ratio: lambda, the chance that a position is masked; 0.75 is the paper's for segmentation.
    """

    def __init__(
        self,
        student_channels: Sequence[int],
        teacher_channels: Sequence[int],
        *,
        stages: Sequence[int] | None = None,
        mask_ratio: Share = 0.75,
    ) -> None:
        super().__init__(student_channels, teacher_channels, stages=stages)
        self.mask_ratio = mask_ratio
        channels = self.paired_channels()
        self.adapters = nn.ModuleList(
            nn.Identity() if own == taught else nn.Conv2d(own, taught, 1) for own, taught in channels
        )
        self.generators = nn.ModuleList(
            nn.Sequential(nn.Conv2d(taught, taught, 3, padding=1), nn.ReLU(), nn.Conv2d(taught, taught, 3, padding=1))
            for _, taught in channels
        )

    def stage_loss(self, student: Tensor, teacher: Tensor, pair: int) -> Tensor:
        """Return the squared error of a pair, a sum for each sample, their mean; see :class:`FeatureLoss`."""
        aligned = resample_to(self.adapters[pair](student), teacher)
        kept = torch.rand(len(teacher), 1, *teacher.shape[2:], device=teacher.device) >= self.mask_ratio
        generated = self.generators[pair](aligned * kept)
        return mean_squared_error(generated, teacher) * teacher[0].numel()
