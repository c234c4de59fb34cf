"""SKD: class distributions pixel by pixel, and how alike the places of a scene are, against the teacher's."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from transkd.distillation.base import DistillationLoss, require_weight, resample_to
from transkd.distillation.criteria import in_full_precision, softened_divergence
from transkd.distillation.logit_loss import LogitLoss
from transkd.distillation.registry import register_loss
from transkd.errors import ConfigError
from transkd.models.taps import Taps
from transkd.options import NonNegativeFloat, Positive


@in_full_precision
def pair_wise_similarity(student: Tensor, teacher: Tensor, *, patch: int) -> Tensor:
    """Return the mean squared difference of cosine similarities between all ordered pairs of a map's patches.

    Args:
        student: (B, C, H, W).
        teacher: (B, D, H, W).
        patch: side of the square patches, max-pooled channel by channel; those at the edges may be smaller.
    """
    return F.mse_loss(_similarities(student, patch), _similarities(teacher, patch))


def _similarities(maps: Tensor, patch: int) -> Tensor:
    """Return the cosines (B, N, N) between the N patches of each map."""
    height, width = maps.shape[2:]
    pooled = F.max_pool2d(maps, (min(patch, height), min(patch, width)), ceil_mode=True)
    nodes = F.normalize(pooled.flatten(2), dim=1)
    return nodes.transpose(1, 2) @ nodes


@register_loss("skd")
class StructuredKnowledgeDistillation(LogitLoss):
    """Structured knowledge distillation: pixel_weight * pixel-wise + pair_weight * pair-wise.

    Pixel-wise is KL(softmax(teacher) || softmax(student)) of the logits, mean over pixels. Pair-wise is, on the deepest
    feature maps, the mean over pairs (i, j) of patches of (a_ij of the student - a_ij of the teacher)², where
    a_ij = f_i . f_j / (|f_i| |f_j|). Liu et al., "Structured Knowledge Distillation for Semantic Segmentation", CVPR
    2019 (TPAMI 2020), section 3.1. **The third part, holistic distillation by a discriminator, is left out**: it needs
    a second optimiser, and the paper's objective weighs it 0.1 where these two weigh 10.

    Of the paper are taken the equal weights of both parts, the mean over the batch, and the gradient through the
    norms of the similarities; its reference weighs them 10 to 1, sums the pixel-wise part over the batch, and holds
    the norms constant. Max-pooling is the reference's, whose patches by default are half the map a side, four in all;
    patches of 2x2 are what the comparison of segmenters by Yang et al. (CIRKD, CVPR 2022) has.

    Args:
        pixel_weight: weight of the pixel-wise part.
        pair_weight: weight of the pair-wise part.
        patch: side of the patches whose similarities are compared, in positions of the teacher's map.

    Raises:
        ConfigError: if both weights are 0; on use, if a patch covers the whole map, which leaves no pairs.
    """

    requires = frozenset({"features", "logits"})

    def __init__(
        self,
        student_channels: Sequence[int],
        teacher_channels: Sequence[int],
        *,
        pixel_weight: NonNegativeFloat = 1.0,
        pair_weight: NonNegativeFloat = 1.0,
        patch: Positive = 2,
    ) -> None:
        super().__init__(student_channels, teacher_channels)
        require_weight(self.name, pixel_weight=pixel_weight, pair_weight=pair_weight)
        self.pixel_weight, self.pair_weight, self.patch = pixel_weight, pair_weight, patch

    def pairing(self) -> list[tuple[int, int]]:
        """Return the pair of deepest stages, whose feature maps the pair-wise part compares."""
        return DistillationLoss.pairing(self)[-1:]

    def logit_distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the pixel-wise part of logits (B, K, H, W), a scalar in float32."""
        return softened_divergence(student, teacher, dim=1)

    def map_distance(self, student: Taps, teacher: Taps) -> Tensor:
        """Return the pair-wise part of the deepest feature maps, a scalar in float32."""
        own, taught = self.student_maps(student, "features")[-1], self.teacher_maps(teacher, "features")[-1]
        height, width = taught.shape[2:]
        if self.patch >= max(height, width):
            raise ConfigError(
                f"{self.name}: a patch of {self.patch}x{self.patch} positions covers the whole deepest map, "
                f"{height}x{width}, and leaves no pairs to compare; lower patch, train on larger images, or set "
                "pair_weight=0"
            )
        return pair_wise_similarity(resample_to(own, taught), taught, patch=self.patch)

    def forward(self, student: Taps, teacher: Taps) -> Tensor:
        """Return the weighted sum of both parts, a scalar in float32; see :class:`DistillationLoss`."""
        loss = self.pixel_weight * super().forward(student, teacher)
        return loss + self.pair_weight * self.map_distance(student, teacher) if self.pair_weight else loss
