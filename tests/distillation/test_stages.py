from __future__ import annotations

import pytest
import torch

from transkd.distillation import create_loss, pair_stages, resample_to

from .tap_builder import LOSS_NAMES, Widths


@pytest.mark.parametrize(
    ("student", "teacher", "pairs"),
    [
        (4, 4, [(0, 0), (1, 1), (2, 2), (3, 3)]),
        (3, 4, [(0, 1), (1, 2), (2, 3)]),
        (5, 4, [(1, 0), (2, 1), (3, 2), (4, 3)]),
        (1, 4, [(0, 3)]),
    ],
)
def test_stages_pair_deepest_with_deepest(student: int, teacher: int, pairs: list[tuple[int, int]]) -> None:
    assert pair_stages(student, teacher) == pairs


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_every_loss_says_what_it_pairs(name: str) -> None:
    loss = create_loss(name, student=Widths((8, 16, 16, 24)), teacher=Widths((16, 24, 32)))
    every = [(1, 0), (2, 1), (3, 2)]
    deepest, none = every[-1:], []
    expected = dict.fromkeys(("cwd", "fitnet", "mgd", "skd", "ifvd", "cirkd"), deepest)
    expected |= dict.fromkeys(("kd", "dist", "cwd_logits"), none)
    assert loss.pairing() == expected.get(name, every)


def test_a_map_of_the_right_size_passes_unchanged() -> None:
    maps = torch.randn(2, 3, 5, 7)
    assert resample_to(maps, torch.empty(1, 9, 5, 7)) is maps


def test_resampling_is_bilinear_between_pixel_centres() -> None:
    ramp = torch.arange(4.0).repeat(1, 1, 2, 1)  # 0 1 2 3 along the width
    widened = resample_to(ramp, torch.empty(1, 1, 2, 8))
    assert widened[0, 0, 0].tolist() == [0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0]
