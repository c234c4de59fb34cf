"""The hierarchical context loss on maps of any size, against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from transkd.distillation.criteria import FEATURE_CRITERIA, hierarchical_context, mean_squared_error


def _pool(x: np.ndarray, size: int) -> np.ndarray:
    rows, columns = ([slice(i * n // size, -(-(i + 1) * n // size)) for i in range(size)] for n in x.shape[2:])
    return np.stack([np.stack([x[:, :, r, c].mean((2, 3)) for c in columns], -1) for r in rows], -2)


@pytest.mark.parametrize("size", [(9, 7), (8, 16), (4, 8), (3, 10), (2, 2), (1, 5), (1, 1)])
def test_hierarchical_context_is_the_formula(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    student, teacher = rng.standard_normal((2, 5, *size)), 0.5 + rng.standard_normal((2, 5, *size))
    errors = [np.mean((student - teacher) ** 2)]
    errors += [np.mean((_pool(student, n) - _pool(teacher, n)) ** 2) for n in (4, 2, 1) if n < size[0]]
    expected = np.average(errors, weights=0.5 ** np.arange(len(errors)))
    obtained = hierarchical_context(torch.from_numpy(student), torch.from_numpy(teacher))
    assert float(obtained) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("criterion", [*FEATURE_CRITERIA.values(), mean_squared_error])
def test_half_precision_maps_are_compared_in_float32_under_autocast(criterion) -> None:
    student, teacher = (torch.randn(2, 8, 6, 6).bfloat16() for _ in range(2))
    expected = criterion(student.float(), teacher.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        obtained = criterion(student, teacher)
    assert obtained.dtype == torch.float32
    assert torch.equal(obtained, expected)
