"""FitNets, CWD on feature maps and attention transfer, against their formulas in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import zoom
from scipy.special import rel_entr, softmax

from transkd.distillation import create_loss

from .tap_builder import Widths, random_taps

STUDENT, TEACHER = (6, 8, 10, 12), (9, 8, 14, 16)
NAMES = ("fitnet", "cwd", "at")

Array = NDArray[np.float64]


def _loss(name: str, student=STUDENT, teacher=TEACHER, **options: object):
    return create_loss(name, student=Widths(student), teacher=Widths(teacher), **options)


def _taps(**options: object):
    image = options.pop("image", (71, 93))
    return random_taps(STUDENT, image=image, **options), random_taps(TEACHER, image=image, seed=1)


def _array(maps: torch.Tensor) -> Array:
    return maps.detach().double().numpy()


def _widened(maps: torch.Tensor, layer: torch.nn.Module) -> Array:
    widened = np.einsum("oi,bihw->bohw", _array(layer.weight)[:, :, 0, 0], _array(maps))
    return widened if layer.bias is None else widened + _array(layer.bias)[None, :, None, None]


def _cwd(student: Array, teacher: Array, temperature: float) -> float:
    own, taught = (softmax(m.reshape(*m.shape[:2], -1) / temperature, axis=-1) for m in (student, teacher))
    return float(temperature**2 * rel_entr(taught, own).sum(-1).mean())


def _at(student: Array, teacher: Array, power: float) -> float:
    total = 0.0
    for own, taught in zip(student, teacher, strict=True):
        q_own, q_taught = ((np.abs(m) ** power).sum(0).ravel() for m in (own, taught))
        distance = q_own / np.linalg.norm(q_own) - q_taught / np.linalg.norm(q_taught)
        total += float(np.mean(distance**2))
    return total / len(student)


@pytest.mark.parametrize("stages", [None, [1], [4, 2], [1, 2, 3, 4]])
def test_fitnet_is_the_mean_squared_error_of_the_widened_maps(stages: list[int] | None) -> None:
    loss = _loss("fitnet", stages=stages)
    student, teacher = _taps()
    expected = sum(
        np.mean((_widened(student.features[s], layer) - _array(teacher.features[t])) ** 2)
        for (s, t), layer in zip(loss.pairing(), loss.regressors, strict=True)
    )
    assert [s + 1 for s, _ in loss.pairing()] == sorted(stages or [4]) == list(loss.stages)
    assert loss(student, teacher).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("stages", [None, [1, 3], [1, 2, 3, 4]])
def test_cwd_is_the_divergence_of_the_adapted_channels(stages: list[int] | None, temperature: float) -> None:
    loss = _loss("cwd", stages=stages, temperature=temperature)
    student, teacher = _taps()
    expected = 0.0
    for (s, t), layer in zip(loss.pairing(), loss.adapters, strict=True):
        own = student.features[s]
        adapted = _array(own) if isinstance(layer, torch.nn.Identity) else _widened(own, layer)
        expected += _cwd(adapted, _array(teacher.features[t]), temperature)
    assert loss(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_cwd_adapts_only_where_the_channels_differ() -> None:
    loss = _loss("cwd", stages=[1, 2, 3, 4])
    assert [isinstance(layer, torch.nn.Identity) for layer in loss.adapters] == [False, True, False, False]
    assert sum(p.numel() for p in loss.parameters()) == 6 * 9 + 10 * 14 + 12 * 16


@pytest.mark.parametrize("power", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("stages", [None, [2, 3]])
def test_at_is_the_squared_distance_of_normalised_attention_maps(stages: list[int] | None, power: float) -> None:
    loss = _loss("at", stages=stages, power=power)
    student, teacher = _taps()
    expected = sum(
        _at(_array(student.features[s - 1]), _array(teacher.features[s - 1]), power) for s in (stages or [1, 2, 3, 4])
    )
    assert loss(student, teacher).item() == pytest.approx(expected, rel=1e-4)
    assert not list(loss.parameters())


def test_at_sees_where_a_map_is_strong_and_not_how_strong_or_by_which_channel() -> None:
    student, teacher = _taps()
    own = random_taps(TEACHER, image=(71, 93), seed=1)
    for maps in own.features:
        maps.data = -3 * maps.data.flip(1)
    loss = _loss("at", student=TEACHER)
    assert loss(own, teacher).item() == pytest.approx(0, abs=1e-9)
    assert _loss("at")(student, teacher).item() > 1e-6


def test_at_interpolates_the_attention_map_of_a_student_of_another_size() -> None:
    student = random_taps(STUDENT, image=(64, 64), strides=(8, 16, 32, 64))
    teacher = random_taps(TEACHER, image=(64, 64), seed=1)
    attention = (_array(student.features[0]) ** 2).sum(1, keepdims=True)
    # Bilinear between pixel centres, edges repeated.
    larger = np.stack([zoom(m, (1, 2, 2), order=1, mode="nearest", grid_mode=True) for m in attention])
    expected = _at(np.sqrt(larger), _array(teacher.features[0]), 2)
    assert _loss("at", stages=[1])(student, teacher).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_all_chosen_stages_learn_and_no_other(name: str) -> None:
    student, teacher = _taps()
    _loss(name, stages=[1, 3])(student, teacher).backward()
    assert [f.grad is not None and bool(f.grad.any()) for f in student.features] == [True, False, True, False]
    assert all(f.grad is None for f in teacher.features)
