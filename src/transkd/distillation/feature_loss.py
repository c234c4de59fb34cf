"""What losses on feature maps share: which stages they compare, and their sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor

from transkd.distillation.base import DistillationLoss, require_stages
from transkd.models.taps import Taps


class FeatureLoss(DistillationLoss):
    """A loss that compares feature maps of chosen stages, and is the sum over them.

    Subclasses define :meth:`stage_loss`.

    Args:
        student_channels: channels of the student's feature maps, a stage each, shallowest first.
        teacher_channels: the same of the teacher.
        stages: the student's stages that are compared, counted from 1; None for what the subclass says by
            default, its ``all_stages``.

    Attributes:
        stages: the chosen stages of the student, counted from 1.

    Raises:
        ConfigError: if a stage does not exist or pairs with none of the teacher's.
    """

    requires = frozenset({"features"})
    all_stages = False
    stages: tuple[int, ...] | None = None

    def __init__(
        self, student_channels: Sequence[int], teacher_channels: Sequence[int], *, stages: Sequence[int] | None = None
    ) -> None:
        super().__init__(student_channels, teacher_channels)
        numbers = [own + 1 for own, _ in super().pairing()]
        if stages is None:
            self.stages = tuple(numbers if self.all_stages else numbers[-1:])
        else:
            require_stages(self.name, "stages", stages, numbers)
            self.stages = tuple(sorted(stages))

    def pairing(self) -> list[tuple[int, int]]:
        """List the chosen stages as (student stage, teacher stage), 0-based, shallowest first."""
        return [(own, taught) for own, taught in super().pairing() if self.stages is None or own + 1 in self.stages]

    def stage_loss(self, student: Tensor, teacher: Tensor, pair: int) -> Tensor:
        """Compare the feature maps of a pair of stages.

        Args:
            student: (B, C_i, h, w).
            teacher: (B, D_i, H, W), detached.
            pair: its index in :meth:`pairing`.

        Returns:
            A scalar in float32.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no stage_loss(student, teacher, pair)")

    def stage_losses(self, student: Taps, teacher: Taps) -> list[Tensor]:
        """Return the loss of each pair of stages, shallowest first, scalars in float32."""
        own, taught = self.student_maps(student, "features"), self.teacher_maps(teacher, "features")
        return [self.stage_loss(own[s], taught[t], pair) for pair, (s, t) in enumerate(self.pairing())]

    def forward(self, student: Taps, teacher: Taps) -> Tensor:
        """Return the sum over stages, a scalar in float32; see :class:`DistillationLoss`."""
        return cast(Tensor, sum(self.stage_losses(student, teacher)))
