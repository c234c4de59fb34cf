"""Which stages a loss compares, and how maps of different spatial size are brought together."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def pair_stages(student_stages: int, teacher_stages: int) -> list[tuple[int, int]]:
    """Pair the stages of a student and a teacher, deepest with deepest.

    Args:
        student_stages: number of the student's stages.
        teacher_stages: number of the teacher's stages.

    Returns:
        (student stage, teacher stage), 0-based, from the shallowest pair to the deepest. Where one of the
        two has more stages, its shallowest ones are left out.
    """
    pairs = min(student_stages, teacher_stages)
    return [(student_stages - pairs + i, teacher_stages - pairs + i) for i in range(pairs)]


def resample_to(maps: Tensor, like: Tensor) -> Tensor:
    """Resample maps bilinearly to the spatial size of others; maps of that size pass unchanged.

    Args:
        maps: (B, C, h, w).
        like: (B, any, H, W), only its size is read.

    Returns:
        (B, C, H, W).
    """
    size = like.shape[-2:]
    if maps.shape[-2:] == size:
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
