from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from transkd.distillation.criteria import FEATURE_CRITERIA, hierarchical_context, mean_squared_error

Array = NDArray[np.float64]


def _pool(x: Array, size: int) -> Array:
    rows, columns = ([slice(i * n // size, math.ceil((i + 1) * n / size)) for i in range(size)] for n in x.shape[2:])
    return np.stack([np.stack([x[:, :, r, c].mean((2, 3)) for c in columns], -1) for r in rows], -2)


def _hierarchical_context(student: Array, teacher: Array) -> float:
    levels = [level for level in (4, 2, 1) if level < student.shape[2]]
    weights = [2.0 ** -(i + 1) for i in range(len(levels))]
    errors = [np.mean((_pool(student, level) - _pool(teacher, level)) ** 2) for level in levels]
    full = np.mean((student - teacher) ** 2)
    return float((full + np.dot(weights, errors)) / (1 + sum(weights)))


def _divergence(student: Array, teacher: Array, over: str) -> float:
    axis = (2, 3) if over == "positions" else (1,)
    p, q = (np.exp(x) / np.exp(x).sum(axis, keepdims=True) for x in (teacher, student))
    total = np.sum(p * np.log(p / q))
    batch, channels, height, width = student.shape
    return float(total / (batch * (channels if over == "positions" else height * width)))


def _maps(shape: tuple[int, ...]) -> tuple[Array, Array]:
    rng = np.random.default_rng(3)
    return rng.standard_normal(shape), 0.5 + rng.standard_normal(shape)


@pytest.mark.parametrize("size", [(9, 7), (8, 16), (4, 8), (3, 10), (2, 2), (1, 5), (1, 1)])
def test_hierarchical_context_is_the_formula(size: tuple[int, int]) -> None:
    student, teacher = _maps((2, 5, *size))
    obtained = hierarchical_context(torch.from_numpy(student), torch.from_numpy(teacher))
    assert float(obtained) == pytest.approx(_hierarchical_context(student, teacher), rel=1e-5)


def test_a_constant_difference_costs_its_square_at_every_size() -> None:
    for height in range(1, 7):
        teacher = torch.randn(2, 3, height, 6)
        assert float(hierarchical_context(teacher + 3, teacher)) == pytest.approx(9, rel=1e-5)


@pytest.mark.parametrize("over", ["positions", "channels"])
def test_channel_wise_distillation_is_the_formula(over: str) -> None:
    student, teacher = _maps((2, 5, 3, 7))
    obtained = FEATURE_CRITERIA[f"cwd_{over}"](torch.from_numpy(student), torch.from_numpy(teacher))
    assert float(obtained) == pytest.approx(_divergence(student, teacher, over), rel=1e-5)


@pytest.mark.parametrize("criterion", [*FEATURE_CRITERIA.values(), mean_squared_error])
def test_half_precision_maps_are_compared_in_float32_under_autocast(criterion) -> None:
    student, teacher = (torch.randn(2, 8, 6, 6).bfloat16() for _ in range(2))
    expected = criterion(student.float(), teacher.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        obtained = criterion(student, teacher)
    assert obtained.dtype == torch.float32
    assert torch.equal(obtained, expected)
