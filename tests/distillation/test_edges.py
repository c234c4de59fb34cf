"""Batches at the edge of what a dataset can hold: every loss stays finite, and so does every gradient."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from transkd.distillation import DistillationLoss, create_loss
from transkd.models.taps import Taps

from .tap_builder import LOSS_NAMES, Widths, random_labels, random_taps

STUDENT, TEACHER = (8, 16, 16, 24), (12, 16, 24, 32)

pytestmark = pytest.mark.parametrize("name", LOSS_NAMES)


def _loss(name: str) -> DistillationLoss:
    return create_loss(name, student=Widths(STUDENT), teacher=Widths(TEACHER))


def _taps(**options: object) -> tuple[Taps, Taps]:
    return random_taps(STUDENT, **options), random_taps(TEACHER, seed=1, **options)


def _all_maps(taps: Taps) -> list[torch.Tensor]:
    return [*taps.embeddings, *taps.features, *([taps.logits] if taps.logits is not None else [])]


def _check(loss: DistillationLoss, student: Taps, teacher: Taps, labels: torch.Tensor) -> torch.Tensor:
    value = loss.compare(student, teacher, labels)
    value.backward()
    assert value.isfinite()
    gradients = [tap.grad for tap in _all_maps(student) if tap.grad is not None]
    gradients += [p.grad for p in loss.parameters() if p.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)
    return value


@pytest.mark.parametrize("batch", [1, 2])
def test_labels_that_are_all_ignored(name: str, batch: int) -> None:
    loss = _loss(name)
    student, teacher = _taps(batch=batch)
    ignored = torch.full((batch, 64, 96), 255, dtype=torch.uint8)
    value = _check(loss, student, teacher, ignored)
    if name == "ifvd":
        assert value == 0


@pytest.mark.parametrize("classes", [1, 2, 200])
def test_one_class_and_more_classes_than_pixels(name: str, classes: int) -> None:
    student, teacher = _taps(classes=classes, batch=1, image=(40, 72))  # 180 pixels at stride 4
    _check(_loss(name), student, teacher, random_labels(student, classes=classes))


@pytest.mark.parametrize("constant", [0.0, 3.0])
def test_maps_without_any_variation(name: str, constant: float) -> None:
    student, teacher = _taps()
    for taps in (student, teacher):
        for tap in _all_maps(taps):
            tap.data.fill_(constant)
    _check(_loss(name), student, teacher, random_labels(student))


def test_a_student_as_sure_as_half_precision_allows(name: str) -> None:
    student, teacher = (replace(taps, logits=(200 * taps.logits.detach()).requires_grad_()) for taps in _taps())
    _check(_loss(name), student, teacher, random_labels(student))


def test_fp16_autocast_does_not_overflow(name: str) -> None:
    loss = _loss(name)
    student, teacher = _taps()
    for tap in student.features:
        tap.data *= 50  # squares of such maps, summed, are past 65504
    with torch.autocast("cpu", dtype=torch.float16):
        value = loss.compare(student, teacher, random_labels(student))
    assert value.dtype == torch.float32
    assert value.isfinite()
