from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from transkd.distillation.csf import ChannelSelection, CrossSelectiveFusion

from .tap_builder import random_taps


@pytest.mark.parametrize("batch", [1, 3])
def test_selection_is_a_softmax_over_two_logits_a_channel(batch: int) -> None:
    selection = ChannelSelection(16).eval()
    norm = selection.squeeze[1]
    nn.init.uniform_(norm.running_var, 0.5, 2)
    nn.init.normal_(norm.running_mean)
    own, deeper = torch.randn(2, batch, 16, 3, 5)

    x, y = own.double().numpy(), deeper.double().numpy()
    weights = {name: p.detach().double().numpy().squeeze() for name, p in selection.state_dict().items()}
    pooled = (x + y).mean((2, 3))
    if batch == 1:
        squeezed = pooled @ weights["squeeze_single.0.weight"].T
    else:
        squeezed = pooled @ weights["squeeze.0.weight"].T
        scale = weights["squeeze.1.weight"] / np.sqrt(weights["squeeze.1.running_var"] + 1e-5)
        squeezed = (squeezed - weights["squeeze.1.running_mean"]) * scale + weights["squeeze.1.bias"]
    squeezed = np.maximum(squeezed, 0)
    logits = [squeezed @ weights[f"{n}_logit.weight"].T + weights[f"{n}_logit.bias"] for n in ("own", "deeper")]
    a, b = np.exp(logits) / np.exp(logits).sum(0)
    expected = a[:, :, None, None] * x + b[:, :, None, None] * y

    assert np.ptp(a) > 0.1
    np.testing.assert_allclose(selection(own, deeper).detach().numpy(), expected, rtol=1e-4, atol=1e-6)


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


def test_a_stage_is_fused_with_deeper_ones_only() -> None:
    loss = CrossSelectiveFusion((4, 8, 8), (6, 12, 12)).eval()
    student = random_taps((4, 8, 8), strides=(4, 8, 16))
    adapted = loss.adapt(student)
    assert [tuple(m.shape[1:]) for m in adapted] == [(6, 16, 24), (12, 8, 12), (12, 4, 6)]
    for index, output in enumerate(adapted):
        gradients = torch.autograd.grad(output.sum(), student.features, retain_graph=True, allow_unused=True)
        assert [g is not None for g in gradients] == [stage >= index for stage in range(3)]


def test_convolutions_start_kaiming_uniform_with_slope_one() -> None:
    stage = CrossSelectiveFusion((32,), (64,)).stages[0]
    for convolution in (stage.reduce[0], stage.expand[0]):
        bound = (3 / (convolution.in_channels * convolution.kernel_size[0] ** 2)) ** 0.5  # gain 1 at slope 1
        assert 0.98 * bound < convolution.weight.abs().max() <= bound


def test_the_middle_and_squeezed_widths_are_the_papers() -> None:
    def widths(**options: int) -> tuple[int, int]:
        stage = CrossSelectiveFusion((4, 8), (6, 12), **options).stages[0]
        return stage.reduce[0].out_channels, stage.selection.squeeze[0].out_channels

    assert widths() == (64, 32)
    assert widths(mid_channels=1024) == (1024, 64)
