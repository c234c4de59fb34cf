"""What losses on feature maps share: which stages they compare, their sum, and labels at the maps' size."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from transkd.distillation.base import DistillationLoss, require_stages
from transkd.errors import ConfigError
from transkd.models.taps import Taps

IGNORED = 255
LABELS = 256
"""Values of a label, which is one byte: no loss needs the number of classes."""


class FeatureLoss(DistillationLoss):
    """A loss that compares feature maps of chosen stages, and is the sum over them.

    Subclasses define :meth:`stage_loss`.

    Args:
        student_channels: channels of the student's feature maps, a stage each, shallowest first.
        teacher_channels: the same of the teacher.
        stages: the student's stages that are compared, counted from 1; None for the deepest, or for all where the
            subclass sets ``all_stages``.

    Attributes:
        stages: the chosen stages of the student, counted from 1.

    Raises:
        ConfigError: if a stage does not exist or pairs with none of the teacher's.
    """

    requires = frozenset({"features"})
    all_stages = False
    stages: tuple[int, ...]

    def __init__(
        self, student_channels: Sequence[int], teacher_channels: Sequence[int], *, stages: Sequence[int] | None = None
    ) -> None:
        super().__init__(student_channels, teacher_channels)
        numbers = [own + 1 for own, _ in super().pairing()]
        if stages is None:
            stages = numbers if self.all_stages else numbers[-1:]
        require_stages(self.name, "stages", stages, numbers)
        self.stages = tuple(sorted(stages))

    def pairing(self) -> list[tuple[int, int]]:
        """List the chosen stages as (student stage, teacher stage), 0-based, shallowest first."""
        return [(own, taught) for own, taught in super().pairing() if own + 1 in self.stages]

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

    def paired_maps(self, student: Taps, teacher: Taps) -> list[tuple[Tensor, Tensor]]:
        """Return the feature maps of each pair of stages, shallowest first; the teacher's are detached."""
        own, taught = self.student_maps(student, "features"), self.teacher_maps(teacher, "features")
        return [(own[s], taught[t]) for s, t in self.pairing()]

    def forward(self, student: Taps, teacher: Taps) -> Tensor:
        """Return the sum over stages, a scalar in float32; see :class:`DistillationLoss`."""
        pairs = enumerate(self.paired_maps(student, teacher))
        losses = [self.stage_loss(own, taught, pair) for pair, (own, taught) in pairs]
        return sum(losses[1:], losses[0])


class LabelledFeatureLoss(FeatureLoss):
    """A loss that compares feature maps of chosen stages by what their positions show, and is the sum over them.

    Subclasses define :meth:`labelled_loss`. Arguments are those of :class:`FeatureLoss`.
    """

    requires = frozenset({"features", "labels"})

    def labelled_loss(self, student: Tensor, teacher: Tensor, labels: Tensor, pair: int) -> Tensor:
        """Compare the feature maps of a pair of stages.

        Args:
            student: (B, C_i, h, w).
            teacher: (B, D_i, H, W), detached.
            labels: (B, H, W) int64, 255 where ignored.
            pair: its index in :meth:`pairing`.

        Returns:
            A scalar in float32.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no labelled_loss(student, teacher, labels, pair)")

    def forward(self, student: Taps, teacher: Taps, labels: Tensor | None = None) -> Tensor:
        """Return the sum over stages, a scalar in float32; see :class:`DistillationLoss`.

        Raises:
            ConfigError: if there are no labels.
        """
        if labels is None:
            raise ConfigError(f"{self.name}: compares pixels by their labels, so it needs labels=, (B, H, W) uint8")
        losses = []
        for pair, (own, taught) in enumerate(self.paired_maps(student, teacher)):
            # The label of the pixel at each position's centre.
            small = F.interpolate(labels[:, None].float(), size=taught.shape[2:], mode="nearest-exact")[:, 0].long()
            losses.append(self.labelled_loss(own, taught, small, pair))
        return sum(losses[1:], losses[0])


def as_vectors(maps: Tensor) -> Tensor:
    """Return the vectors (B, h * w, C) of maps (B, C, h, w), in float32."""
    return maps.float().flatten(2).transpose(1, 2)


def memberships(labels: Tensor) -> Tensor:
    """Return which label each position (B, N) int64 is of, as 0 or 1 in float32, (B, N, 256)."""
    return F.one_hot(labels, LABELS).float()


def class_means(vectors: Tensor, members: Tensor) -> Tensor:
    """Return the mean of the vectors (B, N, C) of each label in each image, (B, 256, C); 0 where it has none.

    Args:
        vectors: (B, N, C).
        members: as :func:`memberships` returns them.
    """
    # A matrix product, not a scatter: the order of its sums does not vary on a GPU.
    return members.transpose(1, 2) @ vectors / members.sum(1).clamp_min(1)[..., None]
