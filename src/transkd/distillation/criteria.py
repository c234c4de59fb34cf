"""What two maps of the same size are compared by; all of it in float32, whatever autocast is on."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

import torch
import torch.nn.functional as F
from torch import Tensor

Criterion = Callable[[Tensor, Tensor], Tensor]
Options = ParamSpec("Options")

POOLED_SIZES = (4, 2, 1)
# A vector that does not vary correlates with nothing: its correlation is 0 and not 0 / 0.
NO_VARIATION = 1e-8


def in_full_precision(
    criterion: Callable[Concatenate[Tensor, Tensor, Options], Tensor],
) -> Callable[Concatenate[Tensor, Tensor, Options], Tensor]:
    """Make a criterion compute in float32 with autocast off: half precision rounds away sums over a map."""

    @wraps(criterion)
    def wrapped(student: Tensor, teacher: Tensor, /, *args: Options.args, **kwargs: Options.kwargs) -> Tensor:
        with torch.autocast(student.device.type, enabled=False):
            return criterion(student.float(), teacher.float(), *args, **kwargs)

    return wrapped


@in_full_precision
def mean_squared_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared difference of two tensors of the same shape."""
    return F.mse_loss(student, teacher)


@in_full_precision
def hierarchical_context(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the hierarchical context loss (HCL, Knowledge Review) of one stage.

    It is the mean squared error of maps (B, D, H, W) at full size, and after adaptive average pooling to 4x4, 2x2 and
    1x1 where the map is higher than that, weighted 1, 1/2, 1/4, 1/8 in the order of the levels used, over the sum of
    these weights.
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
def softened_divergence(student: Tensor, teacher: Tensor, *, dim: int, temperature: float = 1.0) -> Tensor:
    """Return T² KL(teacher || student) between softmax distributions of temperature T along one dimension.

    The factor T² keeps the gradient's size at any temperature (Hinton et al., 2015, section 2).

    Args:
        student: scores of any shape.
        teacher: scores of that shape.
        dim: the dimension that a distribution runs along.
        temperature: T, what the scores are divided by before the softmax.

    Returns:
        A scalar, the divergences' mean over all other dimensions.
    """
    own, taught = ((scores / temperature).log_softmax(dim) for scores in (student, teacher))
    divergence = F.kl_div(own, taught, reduction="sum", log_target=True)
    return temperature**2 * divergence / (student.numel() // student.shape[dim])


def channel_wise_over_positions(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Return channel-wise distillation (CWD): T² KL(teacher || student) of maps (B, D, H, W) over positions.

    Each channel of each sample is one distribution; the divergences' mean over samples and channels.
    """
    return softened_divergence(student.flatten(2), teacher.flatten(2), dim=2, temperature=temperature)


def channel_wise_over_channels(student: Tensor, teacher: Tensor) -> Tensor:
    """Return channel-wise distillation (CWD): KL(teacher || student) of maps (B, D, H, W) over channels.

    Each position of each sample is one distribution; the divergences' mean over samples and positions.
    """
    return softened_divergence(student, teacher, dim=1)


@in_full_precision
def correlation_distance(student: Tensor, teacher: Tensor, *, dim: int) -> Tensor:
    """Return Pearson's distance, 1 minus the correlation of student and teacher along one dimension.

    Args:
        student: of any shape.
        teacher: of that shape.
        dim: the dimension that the correlated vectors run along.

    Returns:
        A scalar in 0 ... 2, the distances' mean over all other dimensions.
    """
    own, taught = (values - values.mean(dim, keepdim=True) for values in (student, teacher))
    norms = torch.linalg.vector_norm(own, dim=dim) * torch.linalg.vector_norm(taught, dim=dim)
    correlation = (own * taught).sum(dim) / (norms + NO_VARIATION)
    distance: Tensor = 1 - correlation
    return distance.mean()


FEATURE_CRITERIA: dict[str, Criterion] = {
    "hcl": hierarchical_context,
    "cwd_positions": channel_wise_over_positions,
    "cwd_channels": channel_wise_over_channels,
}
