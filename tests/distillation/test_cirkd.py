"""CIRKD's parts, its memory over steps and resumed runs; its numbers are compared with the authors' code."""

from __future__ import annotations

import copy

import pytest
import torch

from transkd.distillation import create_loss

from .tap_builder import Widths, random_labels, random_taps

STUDENT, TEACHER = (4, 6), (5, 7)
STRIDES = (8, 16)
SMALL = {"pixel_memory": 60, "region_memory": 20, "pixel_contrast": 30, "region_contrast": 8, "pixels_per_class": 3}


def _loss(**options: object):
    return create_loss("cirkd", student=Widths(STUDENT), teacher=Widths(TEACHER), **options)


def _taps(seed: int = 0, **options: object):
    options = {"image": (71, 93), "strides": STRIDES} | options
    return random_taps(STUDENT, seed=2 * seed, **options), random_taps(TEACHER, seed=2 * seed + 1, **options)


def _step(loss, seed: int = 0) -> torch.Tensor:
    student, teacher = _taps(seed)
    return loss(student, teacher, labels=random_labels(student, seed=seed))


def test_it_is_the_weighted_sum_of_its_parts_over_two_steps() -> None:
    """All that comes is remembered and drawn: the order alone is random."""
    everything = {"pixels_per_class": 1000, "pixel_memory": 500, "pixel_contrast": 500}
    whole = _loss(stages=[1, 2], batch_weight=0.5, pixel_weight=2, region_weight=3, **everything)
    parts = {}
    for name, weight in (("batch_weight", 0.5), ("pixel_weight", 2), ("region_weight", 3)):
        weights = {"batch_weight": 0, "pixel_weight": 0, "region_weight": 0} | {name: 1}
        parts[name] = weight, _loss(stages=[1, 2], **weights, **everything)
        kept = {k: v for k, v in whole.state_dict().items() if k in parts[name][1].state_dict()}
        parts[name][1].load_state_dict(kept)
    for seed in range(2):
        expected = sum(weight * _step(part, seed).item() for weight, part in parts.values())
        assert _step(whole, seed).item() == pytest.approx(expected, rel=1e-4)


def test_weights_of_0_leave_out_what_only_they_need() -> None:
    assert not list(_loss(pixel_weight=0, region_weight=0).state_dict())
    assert not [name for name in _loss(pixel_weight=0, **SMALL).state_dict() if name.startswith("pixels")]
    assert not [name for name in _loss(region_weight=0, **SMALL).state_dict() if name.startswith("regions")]


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
