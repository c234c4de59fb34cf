"""What losses default to, which stages they compare, and which options they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from transkd.distillation import DistillationLoss, create_loss, pair_stages, resample_to
from transkd.errors import ConfigError

from .tap_builder import LOSS_NAMES, Widths, random_labels, random_taps

STUDENT, TEACHER = (8, 16, 16, 24), (12, 16, 24, 32)
BY_STAGES = ("at", "cirkd", "cwd", "fitnet", "ifvd", "mgd")

PUBLISHED = {
    "kd": {"temperature": 1},
    "cwd_logits": {"temperature": 4},
    "dist": {"inter_weight": 1, "intra_weight": 1, "temperature": 1},
    "cwd": {"temperature": 4},
    "at": {"power": 2},
    "mgd": {"mask_ratio": 0.75},
    "skd": {"pixel_weight": 1, "pair_weight": 1, "patch": 2},
    "csf": {"criterion": "hcl"},
    "ea": {"parts": "both", "stage_weights": (0.1, 0.1, 0.5, 1.0)},
    "cirkd": {
        "batch_weight": 1,
        "pixel_weight": 0.1,
        "region_weight": 0.1,
        "temperature": 0.1,
        "pixel_contrast": 4096,
        "region_contrast": 1024,
        "pixels_per_class": 16,
    },
}

PAIRS = "name stages of the student once each, counted from 1; student and teacher pair at [1, 2, 3, 4]"
NOTHING = "so it compares nothing; leave the loss out instead"


def loss_of(name: str, teacher: tuple[int, ...] = TEACHER, **options: object) -> DistillationLoss:
    return create_loss(name, student=Widths(STUDENT), teacher=Widths(teacher), **options)


@pytest.mark.parametrize("name", PUBLISHED)
def test_defaults_are_the_published_ones(name: str) -> None:
    loss = loss_of(name)
    assert {option: getattr(loss, option) for option in PUBLISHED[name]} == PUBLISHED[name]


@pytest.mark.parametrize("name", BY_STAGES)
def test_stages_are_those_that_pair(name: str) -> None:
    assert loss_of(name, stages=[4, 2]).pairing() == [(1, 1), (3, 3)]
    assert loss_of(name, (8, 16), stages=[4]).pairing() == [(3, 1)]
    with pytest.raises(ConfigError, match=rf"^{name}: stages is \[2\]: .* pair at \[3, 4\]$"):
        loss_of(name, (8, 16), stages=[2])


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


@pytest.mark.parametrize("name", ["csf", "kr", "cirkd"])
def test_batch_norm_cannot_train_on_one_position_but_can_be_evaluated(name: str) -> None:
    loss = loss_of(name)
    student, teacher = (random_taps(c, batch=1, image=(32, 32)) for c in (STUDENT, TEACHER))
    labels = random_labels(student)
    with pytest.raises(ConfigError, match=rf"^{name}: one image of \(32, 32\) pixels leaves one value a channel, too"):
        loss.compare(student, teacher, labels)
    assert loss.eval().compare(student, teacher, labels).isfinite()


@pytest.mark.parametrize(
    ("name", "option", "value", "message"),
    [
        *((name, "temperature", 0, "give a number above 0 (it is 0)") for name in ("kd", "dist", "cwd", "cirkd")),
        ("cwd_logits", "temperature", math.nan, "give a number (it is nan)"),
        *((name, "mid_channels", 0, "give 1 or more (it is 0)") for name in ("csf", "kr")),
        ("gl_mixer", "heads", 8.0, "give a whole number (it is 8.0)"),
        ("gl_mixer", "residual", "no", "give true or false (it is 'no')"),
        ("skd", "patch", "8", "give a whole number (it is '8')"),
        ("skd", "pair_weight", -1, "give 0 or more (it is -1)"),
        ("dist", "inter_weight", -1, "give 0 or more (it is -1)"),
        ("cirkd", "pixel_memory", True, "give a whole number (it is true)"),
        ("mgd", "mask_ratio", 1.0, "give a number below 1 (it is 1.0)"),
        ("at", "power", 0.5, "give 1 or more (it is 0.5)"),
        ("at", "stages", 3, "give a list (it is 3)"),
        (
            "csf",
            "criterion",
            "cwd_position",
            "there is no such choice; did you mean 'cwd_positions'?",
        ),
        ("ea", "parts", "embeding", "there is no such choice; did you mean 'embedding'?"),
        ("pea", "stage_weights", 0.5, "give a list (it is 0.5)"),
        ("ea", "stage_weights.3", [1, 0, 0, math.nan], "give a number (it is nan)"),
        ("cwd", "stages.0", [1.0], "give a whole number (it is 1.0)"),
    ],
)
def test_a_value_of_another_kind_or_range(name: str, option: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loss_of(name, **{option.partition(".")[0]: value})
    assert str(caught.value).startswith(f"distillation loss '{name}': {option}: {message}")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        *(
            (name, {"stages": stages}, f"{name}: stages is {stages}: {PAIRS}")
            for name, stages in zip(("fitnet", "cwd", "at", "mgd"), ([], [0], [5], [1, 1]), strict=True)
        ),
        ("gl_mixer", {"stage": 5}, f"gl_mixer: stage is [5]: {PAIRS}"),
        (
            "gl_mixer",
            {"heads": 7},
            "gl_mixer: heads=7 does not divide the 24 channels of the student's",
        ),
        (
            "pea",
            {"stage_weights": [1, 1]},
            "pea: stage_weights is [1, 1], but student and teacher pair in 4",
        ),
        ("pea", {"stage_weights": [0] * 4}, f"pea: stage_weights are 0, {NOTHING}"),
        ("dist", {"inter_weight": 0, "intra_weight": 0.0}, f"dist: inter_weight and intra_weight are 0, {NOTHING}"),
        ("skd", {"pair_weight": 0, "pixel_weight": 0}, f"skd: pixel_weight and pair_weight are 0, {NOTHING}"),
        (
            "cirkd",
            {"batch_weight": 0, "pixel_weight": 0, "region_weight": 0},
            f"cirkd: batch_weight and pixel_weight and region_weight are 0, {NOTHING}",
        ),
    ],
)
def test_a_value_that_does_not_fit_student_and_teacher(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loss_of(name, **options)
    assert str(caught.value).startswith(message)


def test_numpys_numbers_are_numbers() -> None:
    loss = loss_of("cwd", stages=list(np.array([2, 4])), temperature=np.float32(4))
    assert (loss.stages, loss.temperature) == ((2, 4), 4.0)
