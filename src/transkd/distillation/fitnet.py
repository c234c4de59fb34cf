"""FitNets: the student's feature map, widened, against the teacher's as a hint."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from transkd.distillation.base import resample_to
from transkd.distillation.criteria import mean_squared_error
from transkd.distillation.feature_loss import FeatureLoss
from transkd.distillation.registry import register_loss


@register_loss("fitnet")
class FitNet(FeatureLoss):
    """Hint regression: mean squared error between r(Fs) and Ft, r a 1x1 convolution; summed over stages.

    Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015, equation 3, has 1/2 ||Ft - r(Fs)||² and a stage of
    training of its own before distillation; here, as in the comparisons of segmenters (Yang et al., CIRKD, CVPR
    2022), it is the mean over samples, channels and positions, which does not grow with the map, beside the task.

    Args:
        stages: as in :class:`FeatureLoss`, the deepest by default.
    """

    def __init__(
        self, student_channels: Sequence[int], teacher_channels: Sequence[int], *, stages: Sequence[int] | None = None
    ) -> None:
        super().__init__(student_channels, teacher_channels, stages=stages)
        self.regressors = nn.ModuleList(nn.Conv2d(own, taught, 1) for own, taught in self.paired_channels())

    def stage_loss(self, student: Tensor, teacher: Tensor, pair: int) -> Tensor:
        """Return the mean squared error of a pair; see :class:`FeatureLoss`."""
        return mean_squared_error(resample_to(self.regressors[pair](student), teacher), teacher)
