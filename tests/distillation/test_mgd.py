"""What MGD masks and generates, beyond the numbers of the authors' code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from transkd.distillation import create_loss

from .tap_builder import Widths, random_taps

STUDENT, TEACHER = (4, 5, 6), (4, 7, 8)
STRIDES = (8, 16, 32)

Array = NDArray[np.float64]


def _loss(student=STUDENT, teacher=TEACHER, **options: object):
    return create_loss("mgd", student=Widths(student), teacher=Widths(teacher), **options)


def _taps(**options: object):
    options = {"image": (71, 93), "strides": STRIDES} | options
    return random_taps(STUDENT, **options), random_taps(TEACHER, seed=1, **options)


def _array(tensor: torch.Tensor) -> Array:
    return tensor.detach().double().numpy()


def _masked_maps(loss) -> list[Array]:
    """Collect what the generation blocks are given."""
    seen: list[Array] = []
    for generator in loss.generators:
        generator.register_forward_pre_hook(lambda _, inputs: seen.append(_array(inputs[0])))
    return seen


@pytest.mark.parametrize("mask_ratio", [0.0, 0.3, 0.75])
def test_positions_are_masked_in_all_channels_at_random_by_sample_and_step(mask_ratio: float) -> None:
    loss = _loss(stages=[2], mask_ratio=mask_ratio)
    masked = _masked_maps(loss)
    student, teacher = _taps(image=(256, 512))
    for _ in range(2):
        loss(student, teacher)
    adapter = loss.adapters[0]
    aligned = np.einsum("oi,bihw->bohw", _array(adapter.weight)[:, :, 0, 0], _array(student.features[1]))
    aligned += _array(adapter.bias)[None, :, None, None]
    shares = []
    for given in masked:
        kept = (given != 0).all(1)
        np.testing.assert_array_equal((given != 0).any(1), kept)
        np.testing.assert_allclose(given, aligned * kept[:, None], atol=1e-5)
        shares.append(kept.mean((1, 2)))
    assert np.mean(shares) == pytest.approx(1 - mask_ratio, abs=0.03)  # 2048 positions: three deviations
    if mask_ratio:
        masks = [(given != 0).any(1)[b] for given in masked for b in range(2)]
        assert all((a != b).any() for i, a in enumerate(masks) for b in masks[:i])


def test_the_mask_follows_torchs_seed() -> None:
    loss, taps = _loss(), _taps()
    values = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        values.append(loss(*taps).item())
    assert values[0] == values[1] != values[2]


def test_masked_positions_get_no_gradient_of_their_own() -> None:
    loss = _loss(stages=[1])
    masked = _masked_maps(loss)
    student, teacher = _taps()
    loss(student, teacher).backward()
    got = student.features[0].grad.ne(0).any(1).numpy()
    np.testing.assert_array_equal(got, (masked[0] != 0).any(1))
    assert teacher.features[0].grad is None


def test_it_interpolates_to_the_teachers_size() -> None:
    loss = _loss(stages=[1, 2, 3])
    student = random_taps(STUDENT, image=(64, 96), strides=(16, 32, 64))
    teacher = random_taps(TEACHER, image=(64, 96), strides=STRIDES, seed=1)
    masked = _masked_maps(loss)
    assert loss(student, teacher).isfinite()
    assert [m.shape for m in masked] == [tuple(f.shape) for f in teacher.features]
