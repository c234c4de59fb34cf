"""CIRKD against its formula in float64, pixel by pixel, and its memory over steps and resumed runs."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import rel_entr, softmax

from transkd.distillation import create_loss

from .tap_builder import Widths, random_labels, random_taps

STUDENT, TEACHER = (4, 6), (5, 7)
STRIDES = (8, 16)
SMALL = {"pixel_memory": 60, "region_memory": 20, "pixel_contrast": 30, "region_contrast": 8, "pixels_per_class": 3}
# All that comes is remembered and drawn: what is left to chance is the order.
EVERYTHING = {"pixels_per_class": 1000, "pixel_memory": 500, "pixel_contrast": 500}

Array = NDArray[np.float64]


def _loss(**options: object):
    return create_loss("cirkd", student=Widths(STUDENT), teacher=Widths(TEACHER), **options)


def _taps(seed: int = 0, **options: object):
    options = {"image": (71, 93), "strides": STRIDES} | options
    return random_taps(STUDENT, seed=2 * seed, **options), random_taps(TEACHER, seed=2 * seed + 1, **options)


def _step(loss, seed: int = 0) -> torch.Tensor:
    student, teacher = _taps(seed)
    return loss(student, teacher, labels=random_labels(student, seed=seed))


def _vectors(maps: torch.Tensor) -> Array:
    array = maps.detach().double().numpy()
    array = array.reshape(*array.shape[:2], -1).transpose(0, 2, 1)
    return array / np.maximum(np.linalg.norm(array, axis=2, keepdims=True), 1e-12)


def _divergence(own: Array, taught: Array, temperature: float) -> Array:
    own, taught = (softmax(similarities / temperature, axis=-1) for similarities in (own, taught))
    return rel_entr(taught, own).sum(-1)


def _batch_part(student: Array, teacher: Array, temperature: float) -> float:
    pairs = [
        _divergence(s1 @ s2.T, t1 @ t2.T, temperature).mean()
        for s1, t1 in zip(student, teacher, strict=True)
        for s2, t2 in zip(student, teacher, strict=True)
    ]
    return float(np.mean(pairs))


def _memory_part(student: Array, teacher: Array, labels: Array, held: Array, temperature: float) -> float:
    labelled = labels != 255
    own, taught = student[labelled], teacher[labelled]
    return float(_divergence(own @ held.T, taught @ held.T, temperature).mean())


def _small_labels(labels: torch.Tensor, size: tuple[int, int]) -> Array:
    rows, columns = ([int((i + 0.5) * o / n) for i in range(n)] for n, o in zip(size, labels.shape[1:], strict=True))
    return labels.numpy()[:, rows][:, :, columns].reshape(len(labels), -1)


def _means(vectors: Array, labels: Array) -> list[Array]:
    means = [v[row == c].mean(0) for v, row in zip(vectors, labels, strict=True) for c in set(row.tolist()) - {255}]
    return [mean / np.linalg.norm(mean) for mean in means]


@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize("weights", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 2, 3)])
@pytest.mark.parametrize("stages", [None, [1, 2]])
def test_it_is_the_weighted_sum_of_three_parts_over_two_steps(
    stages: list[int] | None, weights: tuple[float, float, float], temperature: float
) -> None:
    named = dict(zip(("batch_weight", "pixel_weight", "region_weight"), weights, strict=True))
    loss = _loss(stages=stages, temperature=temperature, **named, **EVERYTHING)
    remembered: dict[int, tuple[list[Array], list[Array]]] = {s: ([], []) for s, _ in loss.pairing()}
    for seed in range(2):
        student, teacher = _taps(seed)
        labels = random_labels(student, seed=seed)
        expected = 0.0
        for pair, (s, t) in enumerate(loss.pairing()):
            own, taught = _vectors(student.features[s]), _vectors(teacher.features[t])
            expected += weights[0] * _batch_part(own, taught, temperature)
            small = _small_labels(labels, teacher.features[t].shape[2:])
            pixels, regions = remembered[s]
            pixels += list(taught[small != 255])
            regions += _means(taught, small)
            if loss.projections:
                own = _vectors(copy.deepcopy(loss.projections[pair])(student.features[s]))
                for weight, held in zip(weights[1:], (pixels, regions), strict=True):
                    expected += weight * _memory_part(own, taught, small, np.stack(held), temperature)
        assert loss(student, teacher, labels=labels).item() == pytest.approx(expected, rel=1e-4)


def test_weights_of_0_leave_out_what_only_they_need() -> None:
    assert not list(_loss(pixel_weight=0, region_weight=0).state_dict())
    assert not [name for name in _loss(pixel_weight=0, **SMALL).state_dict() if name.startswith("pixels")]
    assert not [name for name in _loss(region_weight=0, **SMALL).state_dict() if name.startswith("regions")]


def test_the_batch_part_can_pool_first() -> None:
    student, teacher = _taps()
    own, taught = (
        _vectors(torch.nn.functional.avg_pool2d(taps.features[1], 2, ceil_mode=True)) for taps in (student, teacher)
    )
    loss = _loss(pooling=2, pixel_weight=0, region_weight=0)
    assert student.features[1].shape[2:] == (5, 6)
    assert own.shape[1] == 9
    value = loss(student, teacher, labels=random_labels(student))
    assert value.item() == pytest.approx(_batch_part(own, taught, 0.1), rel=1e-4)


def test_a_student_of_another_size_is_interpolated_after_its_projection() -> None:
    loss = _loss(batch_weight=0, region_weight=0, pixel_weight=1, **EVERYTHING).eval()
    student = random_taps(STUDENT, image=(64, 96), strides=(16, 32))
    teacher = random_taps(TEACHER, image=(64, 96), strides=STRIDES, seed=1)
    labels = random_labels(student)
    projected = torch.nn.functional.interpolate(
        loss.projections[0](student.features[1]), teacher.features[1].shape[2:], mode="bilinear"
    )
    small = _small_labels(labels, teacher.features[1].shape[2:])
    taught = _vectors(teacher.features[1])
    expected = _memory_part(_vectors(projected), taught, small, taught[small != 255], 0.1)
    assert loss(student, teacher, labels=labels).item() == pytest.approx(expected, rel=1e-4)


def test_each_part_teaches_the_student_and_no_part_the_teacher() -> None:
    for weights in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        named = dict(zip(("batch_weight", "pixel_weight", "region_weight"), weights, strict=True))
        student, teacher = _taps()
        loss = _loss(**named, **SMALL)
        loss(student, teacher, labels=random_labels(student)).backward()
        assert [f.grad is not None and bool(f.grad.any()) for f in student.features] == [False, True]
        assert all(f.grad is None for f in teacher.features)
        assert all(p.grad is not None and p.grad.any() for p in loss.projections.parameters())


def test_scenes_without_a_label_give_a_memory_part_of_0_that_still_has_gradients() -> None:
    loss = _loss(batch_weight=0, **SMALL)
    student, teacher = _taps()
    value = loss(student, teacher, labels=torch.full((2, 71, 93), 255, dtype=torch.uint8))
    value.backward()
    assert value.item() == 0
    assert all(p.grad is not None and not p.grad.any() for p in loss.parameters())
    assert all(memory.labels.eq(255).all() for memory in (*loss.pixels, *loss.regions))
    assert _step(loss, 1).item() > 0


def test_the_memory_fills_in_training_only() -> None:
    loss = _loss(**SMALL)
    _step(loss.eval())
    assert all(memory.labels.eq(255).all() for memory in (*loss.pixels, *loss.regions))
    first = _step(loss.train()).item()
    filled = loss.pixels[0].labels.ne(255).sum()
    assert 0 < filled <= 2 * 5 * 3  # images, classes, pixels_per_class
    assert loss.regions[0].labels.ne(255).sum() <= 2 * 5
    lengths = loss.pixels[0].vectors[loss.pixels[0].labels != 255].norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(len(lengths)))
    for seed in range(1, 6):
        _step(loss, seed)
    assert loss.pixels[0].labels.ne(255).all()
    assert first > 0


def test_a_resumed_run_is_bitwise_the_run_that_never_stopped() -> None:
    def optimiser(loss) -> torch.optim.Optimizer:
        return torch.optim.SGD(loss.parameters(), 0.1)

    def train(loss, steps: range) -> list[float]:
        values, descent = [], optimiser(loss)
        for seed in steps:
            descent.zero_grad()
            value = _step(loss, seed)
            value.backward()
            descent.step()
            values.append(value.item())
        return values

    loss = _loss(**SMALL)
    train(loss, range(4))
    saved, generator = copy.deepcopy(loss.state_dict()), torch.get_rng_state()
    never_stopped = train(loss, range(4, 7))
    resumed = _loss(**SMALL)
    resumed.load_state_dict(saved, strict=True)
    torch.set_rng_state(generator)
    assert train(resumed, range(4, 7)) == never_stopped
    assert all(
        torch.equal(a, b) for a, b in zip(resumed.state_dict().values(), loss.state_dict().values(), strict=True)
    )
    forgetful = _loss(**SMALL)
    forgetful.load_state_dict({k: v for k, v in saved.items() if k.startswith("projections")}, strict=False)
    torch.set_rng_state(generator)
    assert train(forgetful, range(4, 7))[0] != never_stopped[0], "the memory does not matter here"
