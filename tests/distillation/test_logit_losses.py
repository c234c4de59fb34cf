"""KD, DIST and CWD on logits, against their formulas in float64, pixel by pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import entropy, pearsonr

from transkd.distillation import create_loss

from .tap_builder import Widths, random_taps

NAMES = ("kd", "dist", "cwd_logits")
WIDTHS = Widths((4,) * 4)

Array = NDArray[np.float64]


def _loss(name: str, **options: object):
    return create_loss(name, student=WIDTHS, teacher=WIDTHS, **options)


def _taps(seed: int, **options: object):
    return random_taps(WIDTHS.channels, seed=seed, image=(23, 37), **options)


def _logits(taps) -> Array:
    return taps.logits.detach().double().numpy()


def _distribution(scores: Array, temperature: float = 1.0) -> Array:
    powers = np.exp(scores / temperature)
    return powers / powers.sum()


def _kd(student: Array, teacher: Array, temperature: float) -> float:
    pixels = [(b, y, x) for b in range(len(student)) for y in range(student.shape[2]) for x in range(student.shape[3])]
    return temperature**2 * float(
        np.mean(
            [
                entropy(
                    _distribution(teacher[b, :, y, x], temperature), _distribution(student[b, :, y, x], temperature)
                )
                for b, y, x in pixels
            ]
        )
    )


def _cwd(student: Array, teacher: Array, temperature: float) -> float:
    total = sum(
        entropy(_distribution(teacher[b, c].ravel(), temperature), _distribution(student[b, c].ravel(), temperature))
        for b in range(len(student))
        for c in range(student.shape[1])
    )
    return float(temperature**2 / student.shape[1] * total / len(student))


def _dist(student: Array, teacher: Array, temperature: float, inter_weight: float, intra_weight: float) -> float:
    batch, classes, height, width = student.shape
    own, taught = (
        np.array(
            [
                _distribution(y[b, :, i, j], temperature)
                for b in range(batch)
                for i in range(height)
                for j in range(width)
            ]
        )
        for y in (student, teacher)
    )
    inter = np.mean([1 - pearsonr(s, t).statistic for s, t in zip(own, taught, strict=True)])
    intra = np.mean([1 - pearsonr(own[:, k], taught[:, k]).statistic for k in range(classes)])
    return float(temperature**2 * (inter_weight * inter + intra_weight * intra))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kd_is_the_softened_divergence_of_each_pixel(temperature: float) -> None:
    student, teacher = _taps(0), _taps(1)
    expected = _kd(_logits(student), _logits(teacher), temperature)
    assert _loss("kd", temperature=temperature)(student, teacher).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_cwd_is_the_softened_divergence_of_each_class_over_positions(temperature: float) -> None:
    student, teacher = _taps(0), _taps(1)
    expected = _cwd(_logits(student), _logits(teacher), temperature)
    assert _loss("cwd_logits", temperature=temperature)(student, teacher).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("temperature", "inter", "intra"), [(1.0, 1.0, 1.0), (2.0, 0.5, 2.0), (1.0, 1.0, 0.0)])
def test_dist_is_pearsons_distance_over_classes_and_over_pixels(temperature: float, inter: float, intra: float) -> None:
    student, teacher = _taps(0), _taps(1)
    loss = _loss("dist", temperature=temperature, inter_weight=inter, intra_weight=intra)
    expected = _dist(_logits(student), _logits(teacher), temperature, inter, intra)
    assert loss(student, teacher).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_student_that_equals_its_teacher_has_nothing_to_learn(name: str) -> None:
    student = _taps(0)
    value = _loss(name)(student, student)
    value.backward()
    assert abs(value.item()) < 1e-5
    assert student.logits.grad.abs().max() < 1e-6


def test_dist_does_not_mind_another_scale_of_the_probabilities_between_two_classes() -> None:
    # Of two classes only the order matters to the relation between them: its distance is 0 or 2.
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


@pytest.mark.parametrize("name", NAMES)
def test_logits_of_any_size_stay_finite(name: str) -> None:
    student, teacher = (replace(t, logits=(t.logits * 1e4).detach().requires_grad_()) for t in (_taps(0), _taps(1)))
    value = _loss(name)(student, teacher)
    value.backward()
    assert value.isfinite()
    assert student.logits.grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_a_teacher_of_another_size_is_resampled_to_the_student(name: str) -> None:
    student, teacher = _taps(0), _taps(1, strides=(2, 4, 8, 16))
    size = student.logits.shape[-2:]
    assert teacher.logits.shape[-2:] != size
    resampled = torch.nn.functional.interpolate(teacher.logits, size=size, mode="bilinear")
    expected = _loss(name)(student, replace(teacher, logits=resampled))
    assert _loss(name)(student, teacher).item() == pytest.approx(expected.item(), rel=1e-6)
