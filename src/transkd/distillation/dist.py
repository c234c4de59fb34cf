"""DIST: what correlates in the teacher's predictions shall correlate in the student's."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from transkd.distillation.base import require_weight
from transkd.distillation.criteria import correlation_distance
from transkd.distillation.logit_loss import LogitLoss
from transkd.distillation.registry import register_loss
from transkd.options import NonNegativeFloat, PositiveFloat


@register_loss("dist")
class Dist(LogitLoss):
    """DIST: Pearson's distance of class probabilities, over the classes of a pixel and over the pixels of a class.

    With softmax probabilities Y of all N pixels of the batch and K classes, and d(u, v) = 1 - Pearson(u, v):
    inter = mean over pixels n of d(Ys[n, :], Yt[n, :]), intra = mean over classes k of d(Ys[:, k], Yt[:, k]),
    loss = T² (inter_weight inter + intra_weight intra).

    Huang et al., "Knowledge Distillation from A Stronger Teacher", NeurIPS 2022, sections 4.1 (inter-class) and 4.2
    (intra-class), with a pixel in the place of a sample, as its reference for segmentation has it: both weights
    1, no temperature. T² is not in the paper's formula but in its reference for classification.

    Args:
        inter_weight: weight of the relation between classes, the paper's beta.
        intra_weight: weight of the relation within a class, the paper's gamma.
        temperature: T of the softmax.

    Raises:
        ConfigError: if both weights are 0.
    """

    def __init__(
        self,
        student_channels: Sequence[int],
        teacher_channels: Sequence[int],
        *,
        inter_weight: NonNegativeFloat = 1.0,
        intra_weight: NonNegativeFloat = 1.0,
        temperature: PositiveFloat = 1.0,
    ) -> None:
        super().__init__(student_channels, teacher_channels)
        require_weight(self.name, inter_weight=inter_weight, intra_weight=intra_weight)
        self.inter_weight, self.intra_weight = inter_weight, intra_weight
        self.temperature = temperature

    def logit_distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the weighted sum of both relations of logits (B, K, H, W), a scalar in float32."""
        own, taught = (self._probabilities(logits) for logits in (student, teacher))
        inter = correlation_distance(own, taught, dim=0)
        intra = correlation_distance(own, taught, dim=1)
        return self.temperature**2 * (self.inter_weight * inter + self.intra_weight * intra)

    def _probabilities(self, logits: Tensor) -> Tensor:
        """Return the class probabilities (K, N) in float32, N the pixels of the whole batch."""
        probabilities = (logits.float() / self.temperature).softmax(1)
        return probabilities.transpose(0, 1).flatten(1)
