"""SKD's pairs of patches against its formula in float64."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cosine

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
def test_it_is_the_weighted_sum_of_both_parts(patch: int) -> None:
    student, teacher = _taps()
    pixel_wise = create_loss("kd", student=Widths(STUDENT), teacher=Widths(TEACHER))(student, teacher).item()
    pair_wise = _pair_wise(_array(student.features[1]), _array(teacher.features[1]), patch)
    assert pair_wise > 1e-4
    loss = _loss(patch=patch, pixel_weight=3, pair_weight=2)
    assert loss(student, teacher).item() == pytest.approx(3 * pixel_wise + 2 * pair_wise, rel=1e-5)


@pytest.mark.parametrize("patch", [6, 50])
def test_a_patch_that_leaves_no_pairs_is_refused_if_pairs_count(patch: int) -> None:
    student, teacher = _taps()
    with pytest.raises(ConfigError) as caught:
        _loss(patch=patch)(student, teacher)
    assert str(caught.value) == (
        f"skd: a patch of {patch}x{patch} positions covers the whole deepest map, 5x6, and leaves no pairs to compare; "
        "lower patch, train on larger images, or set pair_weight=0"
    )
    assert _loss(patch=patch, pair_weight=0)(student, teacher).isfinite()


def test_similarities_do_not_see_how_strong_a_place_is() -> None:
    student, teacher = _taps()
    loss = _loss(pixel_weight=0.0, patch=1)
    expected = loss(student, teacher).item()
    student.features[1].data *= torch.rand(2, 1, *student.features[1].shape[2:]) + 0.5
    assert loss(student, teacher).item() == pytest.approx(expected, rel=1e-5)
