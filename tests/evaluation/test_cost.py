from __future__ import annotations

import pytest
import torch
from torch import nn

from transkd.evaluation import count_macs, segmenter_gmacs, without_computing
from transkd.models import create_segmenter


def test_macs_of_a_convolution_and_a_product_by_hand() -> None:
    conv = nn.Conv2d(4, 6, kernel_size=3, padding=1, groups=2, bias=False)
    image = torch.zeros(2, 4, 5, 7)
    assert count_macs(lambda: conv(image)) == 2 * 5 * 7 * 6 * (4 // 2) * 9
    assert count_macs(lambda: torch.zeros(3, 4) @ torch.zeros(4, 5)) == 3 * 4 * 5


def test_gmacs_of_b0_are_those_of_a_real_pass() -> None:
    segmenter = create_segmenter("mit_b0").eval()
    with torch.no_grad():
        counted = count_macs(lambda: segmenter(torch.zeros(1, 3, 64, 96)))
    assert segmenter_gmacs(segmenter, (64, 96)) == counted / 1e9
    assert segmenter_gmacs(segmenter, (512, 1024)) == pytest.approx(9.2, abs=0.01)


def test_counting_changes_nothing() -> None:
    segmenter = create_segmenter("mit_b0").train()
    before = {name: value.clone() for name, value in segmenter.state_dict().items()}
    state = torch.get_rng_state()
    with without_computing(segmenter):
        assert not segmenter.training
        assert segmenter(torch.empty(2, 3, 64, 64)).shape == (2, 19, 16, 16)
    assert segmenter.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in segmenter.state_dict().items())
