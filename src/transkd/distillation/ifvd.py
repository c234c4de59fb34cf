"""IFVD: how far each pixel's feature is from the mean of its class, against the teacher's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from transkd.distillation.base import resample_to
from transkd.distillation.criteria import mean_squared_error
from transkd.distillation.feature_loss import IGNORED, LabelledFeatureLoss, as_vectors, class_means, memberships
from transkd.distillation.registry import register_loss


@register_loss("ifvd")
class IntraClassFeatureVariation(LabelledFeatureLoss):
    """Intra-class feature variation: squared difference of similarity maps, mean over positions, summed over stages.

    A class's prototype in an image is the mean of the features at the positions with its label; a position's
    similarity is the cosine between its feature and the prototype of its own class. Student and teacher each have
    their own prototypes, so widths may differ and there are no adapters. Wang et al., "Intra-class Feature Variation
    Distillation for Semantic Segmentation", ECCV 2020, section 3; the paper trains with its pixel-wise part,
    which here is ``kd``, and an adversarial part, which is left out.

    As in its reference, ignored positions have no class: they count in the mean over positions with a difference of
    0. Unlike it, labels are resized to the map by the pixel at a position's centre, not at its upper left corner.

    Args:
        stages: as in :class:`FeatureLoss`, the deepest by default.
    """

    def labelled_loss(self, student: Tensor, teacher: Tensor, labels: Tensor, pair: int) -> Tensor:
        """Return the mean squared difference of a pair's similarity maps; see :class:`LabelledFeatureLoss`."""
        with torch.autocast(student.device.type, enabled=False):
            classes = labels.flatten(1)
            members, labelled = memberships(classes), classes != IGNORED
            own, taught = (
                _similarities(as_vectors(maps), members) * labelled
                for maps in (resample_to(student.float(), teacher), teacher)
            )
        return mean_squared_error(own, taught)


def _similarities(vectors: Tensor, members: Tensor) -> Tensor:
    """Return the cosine (B, N) of each vector (B, N, C) with the mean of its class in its image."""
    return F.cosine_similarity(vectors, members @ class_means(vectors, members), dim=2)
