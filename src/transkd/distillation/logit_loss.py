"""What the losses on class logits share: both logits of one size and of the same classes."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from transkd.distillation.base import DistillationLoss, resample_to
from transkd.errors import ConfigError
from transkd.models.taps import Taps


class LogitLoss(DistillationLoss):
    """A loss that compares class logits, position by position; it pairs no stages and has no adapters.

    Subclasses define :meth:`logit_distance`. Arguments are those of :class:`DistillationLoss`.
    """

    requires = frozenset({"logits"})

    def pairing(self) -> list[tuple[int, int]]:
        """Return no pair: logits are of no stage."""
        return []

    def logit_distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare logits (B, K, H, W) of one size, the teacher's detached; return a scalar in float32."""
        raise NotImplementedError(f"{type(self).__name__} defines no logit_distance(student, teacher)")

    def forward(self, student: Taps, teacher: Taps) -> Tensor:
        """Return the loss, a scalar in float32; the teacher's logits are resampled to the size of the student's.

        Raises:
            ConfigError: if one has no logits, or they are not of as many classes.
        """
        for taps, owner in ((student, "student"), (teacher, "teacher")):
            if taps.logits is None:
                raise ConfigError(
                    f"{self.name}: the {owner}'s taps hold no logits, which this loss compares; "
                    "request them: taps(images, logits=True)"
                )
        own, taught = cast(Tensor, student.logits), cast(Tensor, teacher.logits)
        if own.shape[1] != taught.shape[1]:
            raise ConfigError(
                f"{self.name}: the student's logits are of {own.shape[1]} classes, the teacher's of "
                f"{taught.shape[1]}; compare them on the classes that both have"
            )
        return self.logit_distance(own, resample_to(taught.detach().float(), own))
