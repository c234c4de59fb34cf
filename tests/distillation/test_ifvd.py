"""IFVD against its formula in float64, position by position."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cosine

from transkd.distillation import create_loss

from .tap_builder import Widths, random_labels, random_taps

STUDENT, TEACHER = (4, 6, 8), (5, 9, 8)
STRIDES = (4, 8, 16)

Array = NDArray[np.float64]


def _loss(**options: object):
    return create_loss("ifvd", student=Widths(STUDENT), teacher=Widths(TEACHER), **options)


def _taps(**options: object):
    options = {"image": (71, 93), "strides": STRIDES} | options
    return random_taps(STUDENT, **options), random_taps(TEACHER, seed=1, **options)


def _at_centres(labels: Array, size: tuple[int, int]) -> Array:
    rows, columns = (
        [int((i + 0.5) * old / new) for i in range(new)] for new, old in zip(size, labels.shape, strict=True)
    )
    return labels[np.ix_(rows, columns)]


def _similarities(maps: Array, labels: Array) -> Array:
    result = np.zeros(labels.shape)
    for label in set(labels.ravel()) - {255}:
        prototype = maps[:, labels == label].mean(1)
        for y, x in zip(*np.nonzero(labels == label), strict=True):
            result[y, x] = 1 - cosine(maps[:, y, x], prototype)
    return result


def _ifvd(student: torch.Tensor, teacher: torch.Tensor, labels: torch.Tensor) -> float:
    errors = []
    for own, taught, label in zip(*(t.detach().double().numpy() for t in (student, teacher, labels)), strict=True):
        small = _at_centres(label, own.shape[1:])
        errors.append((_similarities(own, small) - _similarities(taught, small)) ** 2)
    return float(np.mean(errors))


@pytest.mark.parametrize("image", [(71, 93), (64, 96)])
@pytest.mark.parametrize("stages", [None, [1, 2]])
def test_it_is_the_squared_difference_of_similarities_to_class_means(
    stages: list[int] | None, image: tuple[int, int]
) -> None:
    student, teacher = _taps(image=image)
    labels = random_labels(student)
    expected = sum(_ifvd(student.features[s - 1], teacher.features[s - 1], labels) for s in (stages or [3]))
    assert expected > 1e-3
    assert _loss(stages=stages)(student, teacher, labels=labels).item() == pytest.approx(expected, rel=1e-5)


def test_only_labelled_positions_of_chosen_stages_learn() -> None:
    student, teacher = _taps()
    labels = random_labels(student)
    labels[:, :, 40:] = 255
    _loss(stages=[1])(student, teacher, labels=labels).backward()
    shown = student.features[0].grad.ne(0).any(1).numpy()
    labelled = np.stack([_at_centres(label, shown.shape[1:]) != 255 for label in labels.numpy()])
    assert shown.any()
    assert not (shown & ~labelled).any()
    assert [f.grad is not None for f in student.features] == [True, False, False]
    assert all(f.grad is None for f in teacher.features)


@pytest.mark.parametrize("label", [255, 0, 254])
def test_scenes_of_nothing_or_of_any_one_label_are_computed(label: int) -> None:
    student, teacher = _taps()
    labels = torch.full((2, 71, 93), label, dtype=torch.uint8)
    value = _loss()(student, teacher, labels=labels)
    value.backward()
    assert value.item() == pytest.approx(_ifvd(student.features[2], teacher.features[2], labels), rel=1e-5)
    assert (value.item() == 0) == (label == 255)
    assert student.features[2].grad.isfinite().all()


def test_each_image_has_its_own_class_means() -> None:
    student, teacher = _taps()
    labels = random_labels(student)
    whole = _loss()(student, teacher, labels=labels).item()
    halves = []
    for b in range(2):
        one = [random_taps(c, batch=1, image=(71, 93), strides=STRIDES) for c in (STUDENT, TEACHER)]
        for taps, both in zip(one, (student, teacher), strict=True):
            taps.features[2].data = both.features[2].data[b : b + 1]
        halves.append(_loss()(*one, labels=labels[b : b + 1]).item())
    assert whole == pytest.approx(sum(halves) / 2, rel=1e-5)
    assert halves[0] != pytest.approx(halves[1], rel=1e-3)
