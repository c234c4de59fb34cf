"""CSF and Knowledge Review: which stages their fused maps hold, how they start, and what batch norm needs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from transkd.distillation import create_loss
from transkd.distillation.csf import CrossSelectiveFusion
from transkd.errors import ConfigError

from .tap_builder import Widths, random_taps

STUDENT, TEACHER = (3, 4, 5), (4, 5, 6)


def _loss(name: str, student=STUDENT, teacher=TEACHER, **options: object):
    return create_loss(name, student=Widths(student), teacher=Widths(teacher), **options)


@pytest.mark.parametrize("name", ["csf", "kr"])
def test_a_stage_learns_from_its_own_loss_and_those_of_shallower_stages(name: str) -> None:
    loss = _loss(name).eval()
    student, teacher = random_taps(STUDENT, strides=(4, 8, 16)), random_taps(TEACHER, strides=(4, 8, 16), seed=1)
    for index, part in enumerate(loss.stage_losses(student, teacher)):
        gradients = torch.autograd.grad(part, student.features, retain_graph=True, allow_unused=True)
        assert [g is not None and bool(g.any()) for g in gradients] == [stage >= index for stage in range(3)]


@pytest.mark.parametrize("name", ["csf", "kr"])
def test_convolutions_start_kaiming_uniform_with_slope_one(name: str) -> None:
    stage = _loss(name, (32,), (64,)).stages[0]
    for convolution in (stage.reduce[0], stage.expand[0]):
        bound = (3 / (convolution.in_channels * convolution.kernel_size[0] ** 2)) ** 0.5  # gain 1 at slope 1
        assert 0.97 * bound < convolution.weight.abs().max() <= bound


@pytest.mark.parametrize(
    ("name", "student", "options", "middle"),
    [
        ("csf", (4, 8), {}, 64),
        ("csf", (4, 8), {"mid_channels": 1024}, 1024),
        ("kr", (32, 64, 160, 256), {}, 256),
        ("kr", (64, 128, 320, 768), {}, 512),
        ("kr", (4, 8), {"mid_channels": 3}, 3),
    ],
)
def test_the_middle_width(name: str, student: tuple[int, ...], options: dict[str, int], middle: int) -> None:
    loss = _loss(name, student, (4, 8), **options)
    assert {stage.reduce[0].out_channels for stage in loss.stages} == {middle}
    if name == "csf":
        assert loss.stages[0].selection.squeeze[0].out_channels == max(32, middle // 16)


@pytest.mark.parametrize(
    ("batch", "used", "idle"), [(1, "squeeze_single", "squeeze"), (2, "squeeze", "squeeze_single")]
)
@pytest.mark.parametrize("training", [True, False])
def test_a_batch_of_one_goes_through_its_own_squeeze(batch: int, used: str, idle: str, training: bool) -> None:
    loss = CrossSelectiveFusion((4, 8), (6, 12)).train(training)
    for stage in loss.stages:  # otherwise one image's pool is 0 in training, whatever is squeezed
        nn.init.ones_(stage.reduce[1].bias)
    student, teacher = (random_taps(c, batch=batch, strides=(8, 16)) for c in ((4, 8), (6, 12)))
    before = loss(student, teacher)
    nn.init.ones_(getattr(loss.stages[0].selection, idle)[0].weight)
    assert torch.equal(loss(student, teacher), before)
    nn.init.ones_(getattr(loss.stages[0].selection, used)[0].weight)
    assert not torch.equal(loss(student, teacher), before)


def test_knowledge_review_resizes_to_the_nearest_position_of_the_teachers_map() -> None:
    loss = _loss("kr", (4,), (6,), mid_channels=3).eval()
    student = random_taps((4,), image=(20, 28), strides=(4,))
    teacher = random_taps((6,), image=(20, 28), strides=(2,), seed=1)
    reduced = loss.stages[0].reduce(student.features[0])
    compared = loss.stages[0].expand(reduced.repeat_interleave(2, 2).repeat_interleave(2, 3))
    _, found = loss.stages[0](student.features[0], (10, 14))
    torch.testing.assert_close(found, compared)
    assert loss(student, teacher).isfinite()


def test_batch_norm_cannot_train_on_a_teachers_map_of_a_single_position_either() -> None:
    loss = _loss("kr", (4, 8), (6, 12))
    student = random_taps((4, 8), batch=1, image=(32, 32), strides=(8, 16))
    teacher = random_taps((6, 12), batch=1, image=(32, 32), strides=(16, 32))
    with pytest.raises(ConfigError, match=r"^kr: one image of \(32, 32\) pixels leaves one value a channel, too few"):
        loss(student, teacher)
    assert loss.eval()(student, teacher).isfinite()
