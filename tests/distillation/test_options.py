"""Options of losses, as their constructors declare them: every kind of mistake, and what is no mistake."""

from __future__ import annotations

import math

import numpy as np
import pytest

from transkd.distillation import create_loss
from transkd.errors import ConfigError

from .tap_builder import Widths

STUDENT, TEACHER = Widths((8, 16, 16, 24)), Widths((12, 16, 24, 32))
PAIRS = "name stages of the student once each, counted from 1; student and teacher pair at [1, 2, 3, 4]"
NOTHING = "so it compares nothing; leave the loss out instead"


@pytest.mark.parametrize(
    ("name", "option", "value", "message"),
    [
        *(
            (name, "temperature", value, said)
            for name in ("kd", "dist", "cwd", "cwd_logits", "cirkd")
            for value, said in (
                (0, "give a number above 0 (it is 0)"),
                (-1.0, "give a number above 0 (it is -1.0)"),
                (math.inf, "give a number (it is inf)"),
                (math.nan, "give a number (it is nan)"),
                (True, "give a number (it is true)"),
                ("4", "give a number (it is '4')"),
            )
        ),
        *(
            (name, option, value, said)
            for name, option in (
                ("csf", "mid_channels"),
                ("kr", "mid_channels"),
                ("gl_mixer", "heads"),
                ("gl_mixer", "stage"),
                ("skd", "patch"),
                ("cirkd", "pixel_memory"),
                ("cirkd", "region_contrast"),
                ("cirkd", "pooling"),
            )
            for value, said in (
                (0, "give 1 or more (it is 0)"),
                (8.0, "give a whole number (it is 8.0)"),
                ("8", "give a whole number (it is '8')"),
                (True, "give a whole number (it is true)"),
            )
        ),
        *(
            (name, option, -1, "give 0 or more (it is -1)")
            for name, option in (("dist", "inter_weight"), ("skd", "pair_weight"), ("cirkd", "region_weight"))
        ),
        ("mgd", "mask_ratio", 1.0, "give a number below 1 (it is 1.0)"),
        ("mgd", "mask_ratio", -0.1, "give 0 or more (it is -0.1)"),
        ("at", "power", 0.5, "give 1 or more (it is 0.5)"),
        ("csf", "criterion", "cwd_position", "there is no such choice; did you mean 'cwd_positions'?"),
        ("csf", "criterion", None, "give hcl, cwd_positions or cwd_channels (it is null)"),
        ("ea", "parts", "embeding", "there is no such choice; did you mean 'embedding'?"),
        ("gl_mixer", "residual", "no", "give true or false (it is 'no')"),
        ("gl_mixer", "stage", [4], "give a whole number (it is [4])"),
        ("pea", "stage_weights", 0.5, "give a list (it is 0.5)"),
        ("pea", "stage_weights", "1111", "give a list (it is '1111')"),
        *(
            (name, "stages", stages, "give a list (it is ")
            for name in ("fitnet", "cwd", "at", "ifvd")
            for stages in ("1", 3)
        ),
    ],
)
def test_a_value_of_another_kind_or_range(name: str, option: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        create_loss(name, student=STUDENT, teacher=TEACHER, **{option: value})
    assert str(caught.value).startswith(f"distillation loss '{name}': {option}: {message}")


@pytest.mark.parametrize(
    ("name", "option", "value", "message"),
    [
        ("pea", "stage_weights", [1, -1, 0, 0], "stage_weights.1: give 0 or more (it is -1)"),
        ("ea", "stage_weights", [1, 0, 0, math.nan], "stage_weights.3: give a number (it is nan)"),
        ("cwd", "stages", [1.0], "stages.0: give a whole number (it is 1.0)"),
        ("at", "stages", [1, None], "stages.1: give a whole number (it is null)"),
    ],
)
def test_a_value_in_a_list(name: str, option: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        create_loss(name, student=STUDENT, teacher=TEACHER, **{option: value})
    assert str(caught.value) == f"distillation loss '{name}': {message}"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        *(
            (name, {"stages": stages}, f"{name}: stages is {stages}: {PAIRS}")
            for name in ("fitnet", "cwd", "at", "mgd")
            for stages in ([], [0], [5], [-1], [1, 1])
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
        create_loss(name, student=STUDENT, teacher=TEACHER, **options)
    assert str(caught.value).startswith(message)


def test_a_stage_needs_a_partner() -> None:
    shallow = Widths((8, 16))
    assert create_loss("cwd", student=STUDENT, teacher=shallow, stages=[4]).pairing() == [(3, 1)]
    with pytest.raises(ConfigError, match=r"^cwd: stages is \[2\]: .* pair at \[3, 4\]$"):
        create_loss("cwd", student=STUDENT, teacher=shallow, stages=[2])


def test_numpys_numbers_are_numbers() -> None:
    loss = create_loss(
        "cwd", student=STUDENT, teacher=TEACHER, stages=list(np.array([2, 4])), temperature=np.float32(4)
    )
    assert (loss.stages, loss.temperature) == ((2, 4), 4.0)
