"""SKD against its formula in float64, pair by pair."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cosine
from scipy.special import rel_entr, softmax

from transkd.distillation import create_loss
from transkd.errors import ConfigError

from .tap_builder import Widths, random_taps

STUDENT, TEACHER = (4, 6), (5, 9)
STRIDES = (4, 16)

Array = NDArray[np.float64]


def _loss(**options: object):
    return create_loss("skd", student=Widths(STUDENT), teacher=Widths(TEACHER), **options)


def _taps(**options: object):
    options = {"image": (71, 93), "strides": STRIDES} | options
    return random_taps(STUDENT, **options), random_taps(TEACHER, seed=1, **options)


def _array(tensor: torch.Tensor) -> Array:
    return tensor.detach().double().numpy()


def _pixel_wise(student: Array, teacher: Array) -> float:
    own, taught = (softmax(m, axis=1) for m in (student, teacher))
    return float(rel_entr(taught, own).sum(1).mean())


def _nodes(maps: Array, patch: int) -> list[Array]:
    corners = product(*(range(0, length, patch) for length in maps.shape[1:]))
    return [maps[:, y : y + patch, x : x + patch].max((1, 2)) for y, x in corners]


def _pair_wise(student: Array, teacher: Array, patch: int) -> float:
    errors = []
    for own, taught in zip(student, teacher, strict=True):
        nodes = list(zip(_nodes(own, patch), _nodes(taught, patch), strict=True))
        errors += [(cosine(s, r) - cosine(t, u)) ** 2 for (s, t), (r, u) in product(nodes, nodes)]
    return float(np.mean(errors))


@pytest.mark.parametrize("patch", [1, 2, 3, 5])
@pytest.mark.parametrize(("pixel_weight", "pair_weight"), [(1.0, 1.0), (0.0, 2.0), (3.0, 0.0)])
def test_it_is_the_weighted_sum_of_both_parts(patch: int, pixel_weight: float, pair_weight: float) -> None:
    student, teacher = _taps()
    pixel_wise = _pixel_wise(_array(student.logits), _array(teacher.logits))
    pair_wise = _pair_wise(_array(student.features[1]), _array(teacher.features[1]), patch)
    assert pair_wise > 1e-4
    loss = _loss(patch=patch, pixel_weight=pixel_weight, pair_weight=pair_weight)
    expected = pixel_weight * pixel_wise + pair_weight * pair_wise
    assert loss(student, teacher).item() == pytest.approx(expected, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("patch", [6, 50])
def test_a_patch_that_leaves_no_pairs_is_refused_if_pairs_count(patch: int) -> None:
    student, teacher = _taps()
    with pytest.raises(ConfigError) as caught:
        _loss(patch=patch)(student, teacher)
    assert str(caught.value) == (
        f"skd: a patch of {patch}x{patch} positions covers the whole deepest map, 5x6, and leaves no pairs to compare; "
        "lower patch, train on larger images, or set pair_weight=0"
    )
    expected = _pixel_wise(_array(student.logits), _array(teacher.logits))
    assert _loss(patch=patch, pair_weight=0)(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_similarities_do_not_see_how_strong_a_place_is() -> None:
    student, teacher = _taps()
    loss = _loss(pixel_weight=0.0, patch=1)
    expected = loss(student, teacher).item()
    student.features[1].data *= torch.rand(2, 1, *student.features[1].shape[2:]) + 0.5
    assert loss(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_a_coarser_student_is_interpolated_to_the_teachers_nodes() -> None:
    student = random_taps(TEACHER, image=(64, 96), strides=(4, 32))
    teacher = random_taps(TEACHER, image=(64, 96), strides=STRIDES, seed=1)
    student.logits.data = teacher.logits.data.clone()
    loss = _loss_of_equal_widths(pixel_weight=0.0, patch=1)
    teacher.features[1].data = torch.nn.functional.interpolate(student.features[1].data, (4, 6), mode="bilinear")
    assert loss(student, teacher).item() == pytest.approx(0, abs=1e-9)
    teacher.features[1].data = torch.nn.functional.interpolate(student.features[1].data, (4, 6), mode="nearest")
    assert loss(student, teacher).item() > 1e-4


def _loss_of_equal_widths(**options: object):
    return create_loss("skd", student=Widths(TEACHER), teacher=Widths(TEACHER), **options)
