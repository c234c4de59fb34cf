"""What the adapters of distillation losses cost: in training only, for inference does not need them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from transkd.distillation import DistillationLoss, create_loss
from transkd.evaluation import count_parameters, without_computing
from transkd.evaluation.profile import Macs, count_work
from transkd.models import Segmenter, Taps


@dataclass(frozen=True)
class AdapterCost:
    """What distillation losses add to a student while it trains.

    Attributes:
        parameters: of the adapters.
        macs: of comparing the taps of one image.
    """

    parameters: int
    macs: Macs


@contextmanager
def taps_without_computing(
    student: Segmenter, teacher: nn.Module, losses: Iterable[nn.Module], size: tuple[int, int]
) -> Iterator[tuple[Taps, Taps]]:
    """Give the taps of student and teacher on one image: shapes without values, for as long as the context lasts.

    Args:
        student: the segmenter that learns.
        teacher: whatever has ``taps`` as a segmenter has.
        losses: what is going to read the taps.
        size: height and width of the image in pixels.
    """
    with without_computing(student, teacher, *losses):
        image = torch.empty(1, 3, *size, device=next(student.parameters()).device)
        taps: Any = teacher.taps
        yield student.taps(image, logits=True), taps(image, logits=True)


def loss_cost(loss: DistillationLoss, student: Taps, teacher: Taps) -> AdapterCost:
    """Return what one loss costs on taps of one image; call it within :func:`taps_without_computing`."""
    maps = [m for taps in (student, teacher) for m in _maps(taps)]
    return AdapterCost(count_parameters(loss), count_work(lambda: loss(student, teacher), maps))


def method_cost(
    losses: Mapping[str, Mapping[str, Any]], student: Segmenter, teacher: Segmenter, size: tuple[int, int]
) -> AdapterCost:
    """Return what all losses of a method cost together.

    Args:
        losses: name of a registered loss -> its options; ``weight`` is none of them.
        student: the segmenter that learns.
        teacher: the segmenter it learns from.
        size: height and width of the image in pixels.

    Raises:
        ConfigError: a loss that does not exist, or does not fit student and teacher.
    """
    made = [
        create_loss(name, student=student, teacher=teacher, **{k: v for k, v in options.items() if k != "weight"})
        for name, options in losses.items()
    ]
    with taps_without_computing(student, teacher, made, size) as (ours, theirs):
        return _sum([loss_cost(loss, ours, theirs) for loss in made])


def _sum(costs: Sequence[AdapterCost]) -> AdapterCost:
    return AdapterCost(sum(cost.parameters for cost in costs), sum((cost.macs for cost in costs), Macs(0, 0, 0)))


def _maps(taps: Taps) -> Iterator[torch.Tensor]:
    yield from (taps.images, *taps.embeddings, *taps.features)
    if taps.logits is not None:
        yield taps.logits
