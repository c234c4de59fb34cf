from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from transkd.distillation import DistillationLoss, available_losses, check_options, create_loss, register_loss
from transkd.distillation import registry as registry_module
from transkd.errors import ConfigError
from transkd.models.taps import Taps
from transkd.training.weight_schedules import Weighing

from .tap_builder import LOSS_NAMES, Widths, random_taps

STUDENT, TEACHER = Widths((8, 16)), Widths((12, 24))


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry_module, "_LOSSES", dict(registry_module._LOSSES))
    return


class DeepestL1(DistillationLoss):
    def __init__(self, student_channels, teacher_channels, *, scale: float, power: int = 1) -> None:
        super().__init__(student_channels, teacher_channels)
        self.scale, self.power = scale, power
        self.widen = nn.Conv2d(student_channels[-1], teacher_channels[-1], 1)

    def forward(self, student: Taps, teacher: Taps) -> Tensor:
        difference = self.widen(student.features[-1]) - teacher.features[-1].detach()
        return self.scale * difference.abs().pow(self.power).mean()


def test_the_losses_are_there() -> None:
    own, logits = {"csf", "pea", "gl_mixer", "ea"}, {"kd", "dist", "cwd_logits", "skd"}
    assert set(LOSS_NAMES) == own | logits | {"cwd", "fitnet", "at", "mgd", "kr", "ifvd", "cirkd"}
    assert set(LOSS_NAMES) <= set(available_losses())
    assert [create_loss(name, student=Widths((8,) * 4), teacher=TEACHER).name for name in LOSS_NAMES] == list(
        LOSS_NAMES
    )


def test_a_users_loss_is_created_by_name_with_its_options_and_trains() -> None:
    assert register_loss("deepest_l1")(DeepestL1) is DeepestL1
    assert "deepest_l1" in available_losses()
    loss = create_loss("deepest_l1", student=STUDENT, teacher=TEACHER, scale=2.0)
    assert isinstance(loss, DeepestL1)
    assert (loss.scale, loss.power, loss.requires) == (2.0, 1, frozenset({"features"}))
    taps = [random_taps(widths.channels, strides=(8, 16)) for widths in (STUDENT, TEACHER)]
    loss(*taps).backward()
    assert loss.widen.weight.grad is not None


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "gl_mixr",
            {},
            r"'gl_mixr': there is no such loss; did you mean 'gl_mixer'\? \(known: at, .*",
        ),
        ("zzz", {}, r"'zzz': there is no such loss; known: at, "),
        ("csf", {"criterium": "hcl"}, r"'csf': criterium: there is no such key; did you mean 'criterion'\?$"),
        ("csf", {"mid": 3}, r"'csf': mid: there is no such key; known: criterion, mid_channels$"),
        ("csf", {"weight": 1}, r"'csf': weight: there is no such key"),
        (
            "kd",
            {"temperature": -1, "t": 2},
            r"'kd': t: .*; temperature: give a number above 0 \(it is -1\)$",
        ),
        ("deepest_l1", {}, r"'deepest_l1': scale: is missing$"),
        ("deepest_l1", {"scale": "2"}, r"'deepest_l1': scale: give a number \(it is '2'\)$"),
    ],
)
def test_a_wrong_name_or_option(name: str, options: dict[str, object], message: str) -> None:
    register_loss("deepest_l1")(DeepestL1)
    with pytest.raises(ConfigError, match=message):
        check_options(name, options)  # before there are segmenters
    with pytest.raises(ConfigError, match=message):
        create_loss(name, student=STUDENT, teacher=TEACHER, **options)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"shedule": 1}, "shedule: there is no such key; did you mean 'schedule'"),
        ({"wieght": 1}, "wieght: there is no such key; did you mean 'weight'"),
        ({"weight": -1}, r"weight: give 0 or more \(it is -1\)"),
    ],
)
def test_what_stands_beside_the_options_of_a_loss(option: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^distillation loss 'csf': {message}"):
        check_options("csf", option, beside=Weighing)


def test_a_taken_name_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'csf' is registered already, by CrossSelectiveFusion; choose another"):
        register_loss("csf")(DeepestL1)
    assert registry_module._LOSSES["csf"] is not DeepestL1


def test_only_distillation_losses_can_be_registered() -> None:
    with pytest.raises(ConfigError, match=r"'l1': L1Loss is not a DistillationLoss; derive it from"):
        register_loss("l1")(nn.L1Loss)
    with pytest.raises(ConfigError, match="is not a DistillationLoss"):
        register_loss("l1")(lambda student, teacher: torch.zeros(()))


def test_a_loss_without_forward_says_so() -> None:
    register_loss("empty")(type("Empty", (DistillationLoss,), {}))
    loss = create_loss("empty", student=STUDENT, teacher=TEACHER)
    with pytest.raises(NotImplementedError, match="Empty defines no forward"):
        loss(random_taps((8, 16), strides=(4, 8)), random_taps((12, 24), strides=(4, 8)))


def test_a_segmenter_without_stages_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"pea: needs at least one stage"):
        create_loss("pea", student=Widths(()), teacher=TEACHER)
