"""AT: where a feature map is strong, all channels together, against where the teacher's is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from transkd.distillation.base import resample_to
from transkd.distillation.criteria import mean_squared_error
from transkd.distillation.feature_loss import FeatureLoss
from transkd.distillation.registry import register_loss


@register_loss("at")
class AttentionTransfer(FeatureLoss):
    """Activation-based attention transfer: squared distance of normalised attention maps, summed over stages.

    A stage's attention map is Q = sum over channels of |F|^p, and the loss the mean over samples and positions of
    (Qs / ||Qs|| - Qt / ||Qt||)², norms over a map's positions. It has no adapters. Zagoruyko and Komodakis, "Paying
    More Attention to Attention", ICLR 2017, equation 2, has half the distance itself; taken is its reference: the
    squared distance, divided by the number of positions, which the paper puts into the weight. Maps of other sizes
    are interpolated as attention maps (section 3.1).

    Args:
        stages: as in :class:`FeatureLoss`, all by default.
        power: p, 1 or more, the paper's 2.
    """

    all_stages = True

    def __init__(
        self,
        student_channels: Sequence[int],
        teacher_channels: Sequence[int],
        *,
        stages: Sequence[int] | None = None,
        power: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 2.0,
    ) -> None:
        super().__init__(student_channels, teacher_channels, stages=stages)
        self.power = power

    def stage_loss(self, student: Tensor, teacher: Tensor, pair: int) -> Tensor:
        """Return the mean squared difference of a pair's normalised attention maps; see :class:`FeatureLoss`."""
        with torch.autocast(student.device.type, enabled=False):
            taught = self._attention(teacher)
            own = resample_to(self._attention(student), taught)
        return mean_squared_error(_normalised(own), _normalised(taught))

    def _attention(self, maps: Tensor) -> Tensor:
        """Return the attention maps (B, 1, h, w) of feature maps, in float32."""
        return maps.float().abs().pow(self.power).sum(1, keepdim=True)


def _normalised(attention: Tensor) -> Tensor:
    return F.normalize(attention.flatten(1), dim=1)
