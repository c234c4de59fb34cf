"""KD, DIST and CWD on logits, beyond the numbers of the authors' code."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from transkd.distillation import create_loss

from .tap_builder import Widths, random_taps

WIDTHS = Widths((4,) * 4)

each_loss = pytest.mark.parametrize("name", ["kd", "dist", "cwd_logits"])


def _loss(name: str, **options: object):
    return create_loss(name, student=WIDTHS, teacher=WIDTHS, **options)


def _taps(seed: int, **options: object):
    return random_taps(WIDTHS.channels, seed=seed, image=(23, 37), **options)


@each_loss
def test_a_temperature_divides_the_logits_and_its_square_multiplies_the_loss(name: str) -> None:
    student, teacher = _taps(0), _taps(1)
    softened = [replace(taps, logits=taps.logits / 3) for taps in (student, teacher)]
    expected = 9 * _loss(name, temperature=1.0)(*softened).item()
    assert _loss(name, temperature=3.0)(student, teacher).item() == pytest.approx(expected, rel=1e-5)


@each_loss
def test_a_student_that_equals_its_teacher_has_nothing_to_learn(name: str) -> None:
    student = _taps(0)
    value = _loss(name)(student, student)
    value.backward()
    assert abs(value.item()) < 1e-5
    assert student.logits.grad.abs().max() < 1e-6


@each_loss
def test_a_teacher_of_another_size_is_resampled_to_the_student(name: str) -> None:
    student, teacher = _taps(0), _taps(1, strides=(2, 4, 8, 16))
    size = student.logits.shape[-2:]
    assert teacher.logits.shape[-2:] != size
    resampled = torch.nn.functional.interpolate(teacher.logits, size=size, mode="bilinear")
    expected = _loss(name)(student, replace(teacher, logits=resampled))
    assert _loss(name)(student, teacher).item() == pytest.approx(expected.item(), rel=1e-6)


def test_dist_between_two_classes_sees_their_order_alone() -> None:
    logits = torch.tensor([[1.0, 0.0], [0.2, 0.1], [0.0, 3.0]]).T.reshape(1, 2, 1, 3)
    loss = _loss("dist", intra_weight=0.0)
    same, swapped = replace(_taps(0), logits=3 * logits), replace(_taps(0), logits=-logits)
    taps = replace(_taps(0), logits=logits)
    assert loss(same, taps).item() == pytest.approx(0, abs=1e-5)
    assert loss(swapped, taps).item() == pytest.approx(2, abs=1e-5)


def test_dist_of_a_student_that_knows_nothing_yet_is_finite() -> None:
    student = replace(_taps(0), logits=torch.zeros(2, 5, 6, 10, requires_grad=True))
    value = _loss("dist")(student, _taps(1))
    value.backward()
    assert value.item() == pytest.approx(2, abs=1e-5)
    assert student.logits.grad.isfinite().all()
