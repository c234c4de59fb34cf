"""What two maps of the same size are compared by; all of it in float32, whatever autocast is on."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import torch
import torch.nn.functional as F
from torch import Tensor

Criterion = Callable[[Tensor, Tensor], Tensor]

POOLED_SIZES = (4, 2, 1)


def in_full_precision(criterion: Criterion) -> Criterion:
    """Make a criterion compute in float32 with autocast off: half precision rounds away sums over a map."""

    @wraps(criterion)
    def wrapped(student: Tensor, teacher: Tensor) -> Tensor:
        with torch.autocast(student.device.type, enabled=False):
            return criterion(student.float(), teacher.float())

    return wrapped


@in_full_precision
def mean_squared_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared difference of two tensors of the same shape."""
    return F.mse_loss(student, teacher)


@in_full_precision
def hierarchical_context(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the hierarchical context loss (HCL, Knowledge Review) of one stage.

    It is the mean squared error at full size, and after adaptive average pooling to 4x4, 2x2 and 1x1 where
    the map is higher than that, weighted 1, 1/2, 1/4, 1/8 in the order of the levels used, over the sum of
    these weights.

    Args:
        student: (B, D, H, W).
        teacher: (B, D, H, W).

    Returns:
        A scalar.
    """
    height, width = student.shape[-2:]
    loss = F.mse_loss(student, teacher)
    weight, weights = 1.0, 1.0
    # Pooling is linear, so the pooled maps' difference is the pooled difference; where its cells are of equal
    # size, the next, coarser pooling is that of the cells: one pass over the full map instead of three.
    difference = student - teacher
    for size in POOLED_SIZES:
        if size >= height:
            continue
        weight /= 2
        weights += weight
        pooled = F.adaptive_avg_pool2d(difference, size)
        loss = loss + weight * pooled.square().mean()
        if height % size == 0 and width % size == 0:
            difference = pooled
    return loss / weights


@in_full_precision
def channel_wise_over_positions(student: Tensor, teacher: Tensor) -> Tensor:
    """Return channel-wise distillation (CWD) of one stage: KL(teacher || student) over positions.

    Each channel of each sample is one distribution, a softmax of temperature 1.

    Args:
        student: (B, D, H, W).
        teacher: (B, D, H, W).

    Returns:
        A scalar, the divergences' mean over samples and channels.
    """
    return _mean_divergence(student.flatten(2), teacher.flatten(2), dim=2)


@in_full_precision
def channel_wise_over_channels(student: Tensor, teacher: Tensor) -> Tensor:
    """Return channel-wise distillation (CWD) of one stage: KL(teacher || student) over channels.

    Each position of each sample is one distribution, a softmax of temperature 1.

    Args:
        student: (B, D, H, W).
        teacher: (B, D, H, W).

    Returns:
        A scalar, the divergences' mean over samples and positions.
    """
    return _mean_divergence(student.flatten(2), teacher.flatten(2), dim=1)


def _mean_divergence(student: Tensor, teacher: Tensor, dim: int) -> Tensor:
    divergence = F.kl_div(student.log_softmax(dim), teacher.log_softmax(dim), reduction="sum", log_target=True)
    return divergence / (student.numel() // student.shape[dim])


FEATURE_CRITERIA: dict[str, Criterion] = {
    "hcl": hierarchical_context,
    "cwd_positions": channel_wise_over_positions,
    "cwd_channels": channel_wise_over_channels,
}
