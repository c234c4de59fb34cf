"""What the adapters of distillation losses cost: in training only, for inference does not need them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily

from transkd.distillation import DistillationLoss, create_loss
from transkd.evaluation import count_parameters, without_computing
from transkd.evaluation.profile import Macs, count_work
from transkd.models import Segmenter, Taps
from transkd.training.weight_schedules import WEIGHING

FAKES = logging.getLogger("torch._subclasses.fake_tensor")
"""Writes a traceback of its own for each operation that fails without values."""


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
    """Return what one loss costs on taps of one image; call it within :func:`taps_without_computing`.

    A loss whose work depends on values, such as one that picks pixels by their labels, is counted on random taps and
    labels. So is whatever else fails without values, for an error on real tensors is easier to read.

    Raises:
        ConfigError: a loss of one's own that fails.
    """
    try:
        with _silenced(FAKES):
            macs = _count(loss, student, teacher)
    except Exception:
        with unset_fake_temporarily():
            macs = _count(loss, _random(student), _random(teacher))
    return AdapterCost(count_parameters(loss), macs)


@contextmanager
def _silenced(logger: logging.Logger) -> Iterator[None]:
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _count(loss: DistillationLoss, student: Taps, teacher: Taps) -> Macs:
    """Count a copy's work: a loss may remember what it has seen."""
    maps = [m for taps in (student, teacher) for m in _maps(taps)]
    assert student.logits is not None
    size = student.images.shape[-2:]
    labels = torch.arange(size.numel(), device=student.images.device).view(1, *size) % student.logits.shape[1]
    with unset_fake_temporarily():
        copy = deepcopy(loss)
    return count_work(lambda: copy.compare(student, teacher, labels.to(torch.uint8)), maps)


def _random(taps: Taps) -> Taps:
    assert taps.logits is not None

    def values(shape: Tensor) -> Tensor:
        return torch.randn(shape.shape, device=shape.device)

    return replace(
        taps,
        images=values(taps.images),
        embeddings=tuple(map(values, taps.embeddings)),
        features=tuple(map(values, taps.features)),
        logits=values(taps.logits),
    )


def method_cost(
    losses: Mapping[str, Mapping[str, Any]], student: Segmenter, teacher: Segmenter, size: tuple[int, int]
) -> AdapterCost:
    """Return what all losses of a method cost together.

    Args:
        losses: name of a registered loss -> its options, its weight and the weight's schedule among them.
        student: the segmenter that learns.
        teacher: the segmenter it learns from.
        size: height and width of the image in pixels.

    Raises:
        ConfigError: a loss that does not exist, or does not fit student and teacher.
    """
    made = [
        create_loss(name, student=student, teacher=teacher, **{k: v for k, v in options.items() if k not in WEIGHING})
        for name, options in losses.items()
    ]
    with taps_without_computing(student, teacher, made, size) as (ours, theirs):
        return _sum([loss_cost(loss, ours, theirs) for loss in made])


def _sum(costs: Sequence[AdapterCost]) -> AdapterCost:
    return AdapterCost(sum(cost.parameters for cost in costs), sum((cost.macs for cost in costs), Macs(0, 0, 0)))


def _maps(taps: Taps) -> Iterator[Tensor]:
    yield from (taps.images, *taps.embeddings, *taps.features)
    if taps.logits is not None:
        yield taps.logits
