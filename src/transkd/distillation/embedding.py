"""What PEA, GL-Mixer and EA share: aligned patch embeddings of the student against the teacher's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from transkd.distillation.base import DistillationLoss, require_weight, resample_to
from transkd.distillation.criteria import mean_squared_error
from transkd.distillation.registry import register_loss
from transkd.errors import ConfigError
from transkd.models.taps import Taps
from transkd.options import NonNegativeFloat

PAPER_STAGE_WEIGHTS = (0.1, 0.1, 0.5, 1.0)


def linear_over_channels(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply a linear layer (D, C) to every position of maps (B, C, h, w): (B, D, h, w), channels-last in memory."""
    return F.linear(maps.permute(0, 2, 3, 1), weight, bias).permute(0, 3, 1, 2)


class EmbeddingLoss(DistillationLoss):
    """Mean squared error between linearly aligned patch embeddings, weighted by stage.

    Subclasses change what is aligned (:meth:`embedding`) or how (:meth:`align`).

    Args:
        student_channels: channels of the student's patch embeddings, a stage each, shallowest first.
        teacher_channels: the same of the teacher.
        stage_weights: a weight for each pair of stages, shallowest first; None for the paper's 0.1, 0.1, 0.5
            and 1, counted from the deepest pair (further, shallower ones weigh 0.1).

    Raises:
        ConfigError: if there is not one weight a pair, or all are 0.
    """

    requires = frozenset({"embeddings"})

    def __init__(
        self,
        student_channels: Sequence[int],
        teacher_channels: Sequence[int],
        *,
        stage_weights: Sequence[NonNegativeFloat] | None = None,
    ) -> None:
        super().__init__(student_channels, teacher_channels)
        pairs = len(self.pairing())
        if stage_weights is None:
            further = max(pairs - len(PAPER_STAGE_WEIGHTS), 0)
            stage_weights = (PAPER_STAGE_WEIGHTS[:1] * further + PAPER_STAGE_WEIGHTS)[-pairs:]
        if len(stage_weights) != pairs:
            raise ConfigError(
                f"{self.name}: stage_weights is {list(stage_weights)}, but student and teacher pair in {pairs} stages; "
                f"give a list of {pairs} numbers, shallowest first"
            )
        require_weight(self.name, stage_weights=max(stage_weights))
        self.stage_weights = tuple(stage_weights)
        self.linears = nn.ModuleList(nn.Linear(own, teachers) for own, teachers in self.paired_channels())

    def embedding(self, student: Taps, pair: int) -> Tensor:
        """Return the student's patch embedding (B, C_i, h, w) that a pair of stages compares."""
        stage, _ = self.pairing()[pair]
        return self.student_maps(student, "embeddings")[stage]

    def align(self, student: Taps, pair: int) -> Tensor:
        """Return the student's patch embedding of a pair at the teacher's width: (B, D_i, h, w)."""
        linear = cast(nn.Linear, self.linears[pair])
        return linear_over_channels(self.embedding(student, pair), linear.weight, linear.bias)

    def stage_losses(self, student: Taps, teacher: Taps) -> list[Tensor]:
        """Return the mean squared error of each pair, before stage weights, shallowest first: scalars in float32.

        Raises:
            ConfigError: if one of the two taps no patch embeddings.
        """
        teachers = self.teacher_maps(teacher, "embeddings")
        return [
            mean_squared_error(resample_to(self.align(student, pair), teachers[stage]), teachers[stage])
            for pair, (_, stage) in enumerate(self.pairing())
        ]

    def forward(self, student: Taps, teacher: Taps) -> Tensor:
        """Return the weighted sum over stages, a scalar in float32; see :class:`DistillationLoss`."""
        losses = self.stage_losses(student, teacher)
        return cast(Tensor, sum(w * loss for w, loss in zip(self.stage_weights, losses, strict=True)))


@register_loss("pea")
class PatchEmbeddingAlignment(EmbeddingLoss):
    """Patch embedding alignment: a linear layer a stage takes the student's embedding to the teacher's width.

    TransKD-Base is this and ``csf``. Arguments and errors are those of :class:`EmbeddingLoss`.
    """
