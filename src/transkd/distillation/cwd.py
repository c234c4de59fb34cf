"""CWD: where a channel is active, as a distribution over positions, against the teacher's channel."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from transkd.distillation.base import resample_to
from transkd.distillation.criteria import channel_wise_over_positions
from transkd.distillation.feature_loss import FeatureLoss
from transkd.distillation.logit_loss import LogitLoss
from transkd.distillation.registry import register_loss
from transkd.options import PositiveFloat

# Shu et al.'s, for logits and feature maps.
TEMPERATURE = 4.0


@register_loss("cwd_logits")
class ChannelWiseLogits(LogitLoss):
    """Channel-wise distillation of logits: T² KL(teacher || student) of each class over positions, mean over classes.

    Shu et al., "Channel-wise Knowledge Distillation for Dense Prediction", ICCV 2021, section 3.2: each channel c is
    one distribution p_c = softmax over positions of y_c / T, the loss T² / C sum over c and positions i of
    p_teacher[c, i] log(p_teacher[c, i] / p_student[c, i]), averaged over samples.

    Args:
        temperature: T, the paper's 4.
    """

    def __init__(
        self,
        student_channels: Sequence[int],
        teacher_channels: Sequence[int],
        *,
        temperature: PositiveFloat = TEMPERATURE,
    ) -> None:
        super().__init__(student_channels, teacher_channels)
        self.temperature = temperature

    def logit_distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the mean over samples and classes of logits (B, K, H, W), a scalar in float32."""
        return channel_wise_over_positions(student, teacher, temperature=self.temperature)


@register_loss("cwd")
class ChannelWiseFeatures(FeatureLoss):
    """Channel-wise distillation of feature maps, the formula of :class:`ChannelWiseLogits`; summed over stages.

    Where student and teacher differ in channels, a 1x1 convolution takes the student's map to the teacher's width
    (Shu et al., ICCV 2021, section 3.2). It has no bias: a constant added to a channel cancels in the softmax. The
    reference's batch norm and ReLU behind it are not in the paper and not here.

    Args:
        stages: as in :class:`FeatureLoss`, the deepest by default.
        temperature: T, the paper's 4.
    """

    def __init__(
        self,
        student_channels: Sequence[int],
        teacher_channels: Sequence[int],
        *,
        stages: Sequence[int] | None = None,
        temperature: PositiveFloat = TEMPERATURE,
    ) -> None:
        super().__init__(student_channels, teacher_channels, stages=stages)
        self.temperature = temperature
        self.adapters = nn.ModuleList(
            nn.Identity() if own == taught else nn.Conv2d(own, taught, 1, bias=False)
            for own, taught in self.paired_channels()
        )

    def stage_loss(self, student: Tensor, teacher: Tensor, pair: int) -> Tensor:
        """Return the mean over samples and channels of a pair; see :class:`FeatureLoss`."""
        adapted = resample_to(self.adapters[pair](student), teacher)
        return channel_wise_over_positions(adapted, teacher, temperature=self.temperature)
