"""KD: each pixel's class distribution, softened, against the teacher's."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from transkd.distillation.criteria import softened_divergence
from transkd.distillation.logit_loss import LogitLoss
from transkd.distillation.registry import register_loss
from transkd.options import PositiveFloat


@register_loss("kd")
class KnowledgeDistillation(LogitLoss):
    """Knowledge distillation, a pixel a sample: T² KL(softmax(teacher / T) || softmax(student / T)), mean over pixels.

    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", NeurIPS workshop 2014 (arXiv 2015),
    equation 1 and the factor T² of section 2. Per pixel, as "pixel-wise distillation" of Liu et al., CVPR 2019.

    Args:
        temperature: T; 1, as the comparison of segmenters by Yang et al. (CIRKD, CVPR 2022) has it.
    """

    def __init__(
        self, student_channels: Sequence[int], teacher_channels: Sequence[int], *, temperature: PositiveFloat = 1.0
    ) -> None:
        super().__init__(student_channels, teacher_channels)
        self.temperature = temperature

    def logit_distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the mean over pixels of logits (B, K, H, W), a scalar in float32."""
        return softened_divergence(student, teacher, dim=1, temperature=self.temperature)
