"""What losses on feature maps and labels share: labels at the maps' size, and which vectors are of which class."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from transkd.distillation.feature_loss import FeatureLoss
from transkd.errors import ConfigError
from transkd.models.taps import Taps

IGNORED = 255
# A label is one byte, so no loss needs to be told how many classes there are.
LABELS = 256


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

    def stage_losses(self, student: Taps, teacher: Taps, labels: Tensor | None = None) -> list[Tensor]:
        """Return the loss of each pair of stages, shallowest first, scalars in float32.

        Raises:
            ConfigError: if there are no labels.
        """
        if labels is None:
            raise ConfigError(f"{self.name}: compares pixels by their labels, so it needs labels=, (B, H, W) uint8")
        own, taught = self.student_maps(student, "features"), self.teacher_maps(teacher, "features")
        return [
            self.labelled_loss(own[s], taught[t], labels_at(labels, taught[t]), pair)
            for pair, (s, t) in enumerate(self.pairing())
        ]

    def forward(self, student: Taps, teacher: Taps, labels: Tensor | None = None) -> Tensor:
        """Return the sum over stages, a scalar in float32; see :class:`DistillationLoss`.

        Raises:
            ConfigError: if there are no labels.
        """
        losses = self.stage_losses(student, teacher, labels)
        return sum(losses[1:], losses[0])


def labels_at(labels: Tensor, maps: Tensor) -> Tensor:
    """Resize labels to the size of maps: each position gets the label of the pixel at its centre.

    Args:
        labels: (B, H, W) uint8.
        maps: (B, any, h, w), only its size is read.

    Returns:
        (B, h, w) int64.
    """
    return F.interpolate(labels[:, None].float(), size=maps.shape[2:], mode="nearest-exact")[:, 0].long()


def as_vectors(maps: Tensor) -> Tensor:
    """Return the vectors (B, h * w, C) of maps (B, C, h, w), in float32."""
    return maps.float().flatten(2).transpose(1, 2)


def class_means(vectors: Tensor, members: Tensor) -> Tensor:
    """Return the mean vector of each label in each image; 0 where an image has none of it.

    Args:
        vectors: (B, N, C).
        members: (B, N, 256), 1 where a vector is of a label, else 0.

    Returns:
        (B, 256, C).
    """
    # A matrix product, not a scatter: the order of its sums does not vary on a GPU.
    return members.transpose(1, 2) @ vectors / members.sum(1).clamp_min(1)[..., None]


def memberships(labels: Tensor) -> Tensor:
    """Return which label each position (B, N) int64 is of, as 0 or 1 in float32, (B, N, 256)."""
    return F.one_hot(labels, LABELS).float()
