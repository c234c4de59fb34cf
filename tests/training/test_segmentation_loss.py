from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from transkd.training.schedules import LinearEpochDecay, PolyWarmUp
from transkd.training.segmentation_module import SegmentationLoss


def cross_entropy_by_hand(logits: np.ndarray, labels: np.ndarray, weights: list[float]) -> float:
    total = mass = 0.0
    for b, y, x in np.ndindex(*labels.shape):
        k = labels[b, y, x]
        if k != 255:
            values = logits[b, :, y, x].astype(np.float64)
            total -= weights[k] * (values[k] - math.log(np.exp(values).sum()))
            mass += weights[k]
    return total / mass


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0, 3.5]])
def test_equals_a_sum_by_hand(weights: list[float] | None) -> None:
    random = np.random.default_rng(0)
    logits = random.standard_normal((2, 4, 6, 8)).astype(np.float32)
    labels = random.integers(0, 4, (2, 6, 8)).astype(np.uint8)
    labels[random.random(labels.shape) < 0.3] = 255
    ours = SegmentationLoss(weights)(torch.from_numpy(logits), torch.from_numpy(labels))
    assert float(ours) == pytest.approx(cross_entropy_by_hand(logits, labels, weights or [1.0] * 4), rel=1e-5)


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 3.0]])
def test_a_batch_without_labels_gives_zero_and_finite_gradients(weights: list[float] | None) -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = SegmentationLoss(weights)(logits, torch.full((2, 4, 4), 255, dtype=torch.uint8))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_logit_resolution_uses_the_labels_at_pixel_centres_and_label_resolution_the_resized_logits() -> None:
    logits = torch.randn(1, 3, 4, 4)
    labels = torch.randint(0, 3, (1, 16, 16), dtype=torch.uint8)
    small = labels[:, 2::4, 2::4].long()
    large = torch.nn.functional.interpolate(logits, (16, 16), mode="bilinear")
    cross_entropy = torch.nn.functional.cross_entropy
    assert float(SegmentationLoss(resolution="logit")(logits, labels)) == pytest.approx(
        float(cross_entropy(logits, small)), rel=1e-5
    )
    assert float(SegmentationLoss(resolution="label")(logits, labels)) == pytest.approx(
        float(cross_entropy(large, labels.long())), rel=1e-5
    )


def test_is_computed_in_fp32_under_autocast() -> None:
    logits = (torch.randn(1, 3, 8, 8) * 20).bfloat16()
    labels = torch.randint(0, 3, (1, 32, 32), dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        inside = SegmentationLoss()(logits, labels)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, SegmentationLoss()(logits.float(), labels))


def rates(schedule: LinearEpochDecay | PolyWarmUp, steps: int, total: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    scheduler = schedule.bind(optimizer, total)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_the_papers_schedule_decays_linearly_by_epoch() -> None:
    found = rates(LinearEpochDecay(1500), 1001, total=7)
    assert LinearEpochDecay().interval == "epoch"
    assert found[0] == 2.0
    assert found[750] == pytest.approx(1.0)
    assert found[1000] == pytest.approx(2.0 * (1 - 1000 / 1500))


def test_poly_warms_up_and_ends_at_zero() -> None:
    found = rates(PolyWarmUp(power=2.0, warm_up=0.1, start=0.01), 101, total=100)
    assert PolyWarmUp().interval == "step"
    assert found[0] == pytest.approx(0.02)
    assert found[5] == pytest.approx(2.0 * (0.01 + 0.99 * 0.5))
    assert found[10] == pytest.approx(2.0)
    assert found[55] == pytest.approx(2.0 * 0.5**2)
    assert found[100] == 0.0
