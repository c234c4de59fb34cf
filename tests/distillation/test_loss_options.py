"""What losses default to, which values of their options are refused, and what needs more than one position."""

from __future__ import annotations

import math

import pytest

from transkd.distillation import DistillationLoss, create_loss
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
ABOVE_0, FROM_0, WHOLE = (
    "it must be a number above 0",
    "it must be a number of 0 or more",
    "it must be a whole number of 1 or more",
)
NOTHING = "so it compares nothing; leave the loss out instead"
REFUSED = [
    *(("kd", {"temperature": value}, f"temperature is {value!r}, {ABOVE_0}") for value in (0, -1.0, math.inf, "4")),
    *(("kd", {"temperature": value}, f"temperature is {value!r}, {ABOVE_0}") for value in (math.nan, True)),
    *((name, {"temperature": 0}, f"temperature is 0, {ABOVE_0}") for name in ("dist", "cwd_logits", "cwd", "cirkd")),
    ("dist", {"inter_weight": -1}, f"inter_weight is -1, {FROM_0}"),
    ("dist", {"inter_weight": 0, "intra_weight": 0.0}, f"inter_weight and intra_weight are 0, {NOTHING}"),
    ("at", {"power": 0.5}, "power is 0.5, it must be a number of 1 or more"),
    ("skd", {"patch": 0}, f"patch is 0, {WHOLE}"),
    ("skd", {"patch": 1.5}, f"patch is 1.5, {WHOLE}"),
    ("skd", {"pair_weight": 0, "pixel_weight": 0}, f"pixel_weight and pair_weight are 0, {NOTHING}"),
    ("mgd", {"mask_ratio": 1.0}, "mask_ratio is 1.0, which masks everything; it must be below 1"),
    ("mgd", {"mask_ratio": -0.1}, f"mask_ratio is -0.1, {FROM_0}"),
    *(("kr", {"mid_channels": value}, f"mid_channels is {value!r}, {WHOLE}") for value in (0, 2.0, True, "64")),
    ("csf", {"mid_channels": 0}, f"mid_channels is 0, {WHOLE}"),
    ("csf", {"criterion": "cwd_position"}, "criterion is 'cwd_position', there is no such choice; did you mean 'cwd_"),
    ("csf", {"criterion": None}, "criterion is None, there is no such choice; known: cwd_channels, cwd_positions, hcl"),
    ("ea", {"parts": "embeding"}, "parts is 'embeding', there is no such choice; did you mean 'embedding'"),
    (
        "pea",
        {"stage_weights": [1, 1]},
        "stage_weights is [1, 1], but student and teacher pair in 4 stages; give",
    ),
    ("ea", {"stage_weights": 0.5}, "stage_weights is 0.5, but"),
    ("pea", {"stage_weights": "1111"}, "stage_weights is '1111', but"),
    ("pea", {"stage_weights": [0, 0, 0, 0]}, f"all stage_weights are 0, {NOTHING}"),
    ("pea", {"stage_weights": [1, -1, 0, 0]}, "the weight of stage 2 in stage_weights is -1, it must be"),
    (
        "gl_mixer",
        {"heads": 7},
        "heads=7 does not divide the 24 channels of the student's stage 4; choose heads",
    ),
    ("gl_mixer", {"heads": 8.0}, f"heads is 8.0, {WHOLE}"),
    *(("gl_mixer", {"stage": value}, f"stage is {value!r}, it must be one of") for value in (5, 0, 4.0, True, [4])),
    ("gl_mixer", {"residual": "no"}, "residual is 'no', it must be true or false"),
    ("cirkd", {"pixel_memory": 0}, f"pixel_memory is 0, {WHOLE}"),
    ("cirkd", {"pooling": "2"}, f"pooling is '2', {WHOLE}"),
    *(
        ("cwd", {"stages": value}, f"stages is {value!r}, it must list stages of the student once each, counted from 1")
        for value in ([], [0], [5], [1, 1], "1", 3, [1.0], [True], [None], ["2"])
    ),
]


def loss_of(name: str, teacher: tuple[int, ...] = TEACHER, **options: object) -> DistillationLoss:
    return create_loss(name, student=Widths(STUDENT), teacher=Widths(teacher), **options)


@pytest.mark.parametrize("name", PUBLISHED)
def test_defaults_are_the_published_ones(name: str) -> None:
    loss = loss_of(name)
    assert {option: getattr(loss, option) for option in PUBLISHED[name]} == PUBLISHED[name]


@pytest.mark.parametrize(("name", "options", "message"), REFUSED)
def test_values_that_do_not_fit_are_refused(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loss_of(name, **options)
    assert str(caught.value).startswith(f"{name}: {message}")


@pytest.mark.parametrize("name", BY_STAGES)
def test_stages_are_those_that_pair(name: str) -> None:
    assert loss_of(name, stages=[4, 2]).pairing() == [(1, 1), (3, 3)]
    assert loss_of(name, (8, 16), stages=[4]).pairing() == [(3, 1)]
    with pytest.raises(ConfigError, match=rf"^{name}: stages is \[2\], .* pair at \[3, 4\]$"):
        loss_of(name, (8, 16), stages=[2])


@pytest.mark.parametrize("name", [name for name in LOSS_NAMES if name in ("csf", "kr", "cirkd")])
def test_batch_norm_cannot_train_on_one_position_but_can_be_evaluated(name: str) -> None:
    loss = loss_of(name)
    student, teacher = (random_taps(c, batch=1, image=(32, 32)) for c in (STUDENT, TEACHER))
    labels = random_labels(student)
    with pytest.raises(ConfigError, match=rf"^{name}: one image of \(32, 32\) pixels leaves one value a channel, too"):
        loss.compare(student, teacher, labels)
    assert loss.eval().compare(student, teacher, labels).isfinite()
