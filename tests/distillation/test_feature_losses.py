"""FitNets, CWD and attention transfer on feature maps, beyond the numbers of the authors' code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import zoom

from transkd.distillation import create_loss

from .tap_builder import Widths, random_labels, random_taps

STUDENT, TEACHER = (6, 8, 10, 12), (9, 8, 14, 16)


def _loss(name: str, student=STUDENT, teacher=TEACHER, **options: object):
    return create_loss(name, student=Widths(student), teacher=Widths(teacher), **options)


def _taps(image=(71, 93)):
    return random_taps(STUDENT, image=image), random_taps(TEACHER, image=image, seed=1)


def _at(student: np.ndarray, teacher: np.ndarray, power: float) -> float:
    total = 0.0
    for own, taught in zip(student, teacher, strict=True):
        q_own, q_taught = ((np.abs(m) ** power).sum(0).ravel() for m in (own, taught))
        distance = q_own / np.linalg.norm(q_own) - q_taught / np.linalg.norm(q_taught)
        total += float(np.mean(distance**2))
    return total / len(student)


@pytest.mark.parametrize("name", ["fitnet", "cwd", "at", "mgd", "ifvd", "cirkd"])
def test_chosen_stages_learn_and_are_summed(name: str) -> None:
    labels = random_labels(_taps()[0])
    options = {"mgd": {"mask_ratio": 0.0}, "cirkd": {"pixel_weight": 0, "region_weight": 0}}.get(name, {})
    whole, student, teacher = _loss(name, stages=[1, 3], **options), *_taps()
    value = whole.compare(student, teacher, labels)
    value.backward()
    assert [f.grad is not None and bool(f.grad.any()) for f in student.features] == [True, False, True, False]
    parts = 0.0
    for index, stage in enumerate((1, 3)):
        part = _loss(name, stages=[stage], **options)
        own = {k.replace(f".{index}.", ".0.", 1): v for k, v in whole.state_dict().items() if f".{index}." in k[:20]}
        part.load_state_dict({k: v for k, v in own.items() if k in part.state_dict()})
        parts += part.compare(student, teacher, labels).item()
    assert value.item() == pytest.approx(parts, rel=1e-5)


@pytest.mark.parametrize("name", ["cwd", "mgd"])
def test_adapters_are_only_where_the_channels_differ(name: str) -> None:
    loss = _loss(name, stages=[1, 2, 3, 4])
    assert [isinstance(layer, torch.nn.Identity) for layer in loss.adapters] == [False, True, False, False]


@pytest.mark.parametrize("power", [1.0, 4.0])
def test_at_is_the_squared_distance_of_normalised_attention_maps(power: float) -> None:
    student, teacher = _taps()
    maps = zip(student.features, teacher.features, strict=True)
    expected = sum(_at(*(f.detach().double().numpy() for f in pair), power) for pair in maps)
    assert _loss("at", power=power)(student, teacher).item() == pytest.approx(expected, rel=1e-4)


def test_at_sees_where_a_map_is_strong_and_not_how_strong_or_by_which_channel() -> None:
    student, teacher = _taps()
    own = random_taps(TEACHER, image=(71, 93), seed=1)
    for maps in own.features:
        maps.data = -3 * maps.data.flip(1)
    assert _loss("at", student=TEACHER)(own, teacher).item() == pytest.approx(0, abs=1e-9)
    assert _loss("at")(student, teacher).item() > 1e-6


def test_at_interpolates_the_attention_map_of_a_student_of_another_size() -> None:
    student = random_taps(STUDENT, image=(64, 64), strides=(8, 16, 32, 64))
    teacher = random_taps(TEACHER, image=(64, 64), seed=1)
    attention = (student.features[0].detach().double().numpy() ** 2).sum(1, keepdims=True)
    # Bilinear between pixel centres, edges repeated.
    larger = np.stack([zoom(m, (1, 2, 2), order=1, mode="nearest", grid_mode=True) for m in attention])
    expected = _at(np.sqrt(larger), teacher.features[0].detach().double().numpy(), 2)
    assert _loss("at", stages=[1])(student, teacher).item() == pytest.approx(expected, rel=1e-4)
