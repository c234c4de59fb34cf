"""Losses by name: what can be registered and created, and mistakes in a custom loss."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from transkd.distillation import DistillationLoss, available_losses, check_options, create_loss, register_loss
from transkd.distillation import registry as registry_module
from transkd.errors import ConfigError
from transkd.models import create_segmenter
from transkd.models.taps import Taps
from transkd.training.schedules import Weighing

from .tap_builder import LOSS_NAMES, Widths, random_labels, random_taps

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


class Custom(DistillationLoss):
    """Returns its result, or raises it."""

    result: object = None

    def forward(self, student: Taps, teacher: Taps) -> Tensor:
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result  # type: ignore[return-value]


def custom(result: object, module: str = __name__) -> type[DistillationLoss]:
    return type("Term", (Custom,), {"result": result, "__module__": module})


def compared(cls: type[DistillationLoss]) -> Tensor:
    student, teacher = (random_taps(widths.channels, strides=(8, 16)) for widths in (STUDENT, TEACHER))
    return cls(STUDENT.channels, TEACHER.channels).compare(student, teacher, random_labels(student))


def test_the_losses_are_there() -> None:
    own, logits = {"csf", "pea", "gl_mixer", "ea"}, {"kd", "dist", "cwd_logits", "skd"}
    assert set(LOSS_NAMES) == own | logits | {"cwd", "fitnet", "at", "mgd", "kr", "ifvd", "cirkd"}
    assert set(LOSS_NAMES) <= set(available_losses())
    created = [create_loss(name, student=Widths((8,) * 4), teacher=TEACHER).name for name in LOSS_NAMES]
    assert created == list(LOSS_NAMES)


def test_a_custom_loss_is_created_by_name_with_its_options_and_trains() -> None:
    assert register_loss("deepest_l1")(DeepestL1) is DeepestL1
    assert "deepest_l1" in available_losses()
    loss = create_loss("deepest_l1", student=STUDENT, teacher=TEACHER, scale=2.0)
    assert isinstance(loss, DeepestL1)
    assert (loss.scale, loss.power, loss.requires) == (2.0, 1, frozenset({"features"}))
    loss(*(random_taps(widths.channels, strides=(8, 16)) for widths in (STUDENT, TEACHER))).backward()
    assert loss.widen.weight.grad is not None


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gl_mixr", {}, r"'gl_mixr': there is no such loss; did you mean 'gl_mixer'\? \(known: at, .*"),
        ("zzz", {}, r"'zzz': there is no such loss; known: at, "),
        ("csf", {"criterium": "hcl"}, r"'csf': criterium: there is no such key; did you mean 'criterion'\?$"),
        ("csf", {"mid": 3}, r"'csf': mid: there is no such key; known: criterion, mid_channels$"),
        ("kd", {"temperature": -1, "t": 2}, r"'kd': t: .*; temperature: give a number above 0 \(it is -1\)$"),
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
        ({"weight": -1}, r"weight: give 0 or more \(it is -1\)"),
    ],
)
def test_what_stands_beside_the_options_of_a_loss(option: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^distillation loss 'csf': {message}"):
        check_options("csf", option, beside=Weighing)


@pytest.mark.parametrize(
    ("name", "cls", "message"),
    [
        ("csf", DeepestL1, "'csf' is registered already, by CrossSelectiveFusion; choose another"),
        ("l1", nn.L1Loss, "'l1': L1Loss is not a DistillationLoss; derive it from"),
        ("l1", lambda student, teacher: torch.zeros(()), "is not a DistillationLoss"),
        *(
            ("wants", type("Wants", (Custom,), {"requires": requires}), r"'wants': requires is .*; it has to be a set")
            for requires in ("logits", {"features", "logit"})
        ),
        *(
            (name, DeepestL1, "a distillation loss cannot be called")
            for name in ("a.b", "", None, 3, "keys", "training", "ce", "loss", "lr")
        ),
    ],
)
def test_what_cannot_be_registered(name: str, cls: type, message: str) -> None:
    before = dict(registry_module._LOSSES)
    with pytest.raises(ConfigError, match=message):
        register_loss(name)(cls)
    assert before == registry_module._LOSSES


@pytest.mark.parametrize(
    ("former", "later", "replaced"),
    [
        (("Mine", "__main__"), ("Mine", "__main__"), True),  # the cell of a notebook that runs again
        (("Mine", "__main__"), ("Yours", "__main__"), False),
        (("Mine", "one_module"), ("Mine", "one_module"), False),
        (("Mine", "one_module"), ("Mine", "__main__"), False),
    ],
)
def test_only_a_cell_that_runs_again_replaces_a_class(
    former: tuple[str, str], later: tuple[str, str], replaced: bool
) -> None:
    first, second = (
        type(name, (DistillationLoss,), {"__module__": module, "__qualname__": name})
        for name, module in (former, later)
    )
    register_loss("mine")(first)
    if not replaced:
        with pytest.raises(ConfigError, match="'mine' is registered already, by Mine; choose another name"):
            register_loss("mine")(second)
    else:
        register_loss("mine")(second)
    assert type(create_loss("mine", student=STUDENT, teacher=TEACHER)) is (second if replaced else first)


def test_what_only_has_channels_is_taken_but_none_without_stages() -> None:
    assert create_loss("pea", student=STUDENT, teacher=TEACHER).name == "pea"
    with pytest.raises(ConfigError, match=r"pea: needs at least one stage"):
        create_loss("pea", student=Widths(()), teacher=TEACHER)


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_a_loss_on_patch_embeddings_is_refused_for_a_network_that_has_none(role: str) -> None:
    resnet, convnext = (create_segmenter(name, 4) for name in ("resnet18", "convnext_atto"))
    pair = {"student": convnext, "teacher": convnext} | {role: resnet}
    for loss in ("pea", "gl_mixer", "ea"):
        create_loss(loss, student=convnext, teacher=convnext)
        with pytest.raises(ConfigError) as caught:
            create_loss(loss, **pair)
        start, usable, end = re.split(r"use a loss that needs none \((.*)\)", str(caught.value))
        assert start.startswith(
            f"distillation loss '{loss}' compares patch embeddings, and the {role} has none: resnet18"
        )
        need_none, need_some = set(LOSS_NAMES) - {"pea", "gl_mixer", "ea"}, {"pea", "gl_mixer", "ea"}
        assert need_none <= set(usable.split(", "))
        assert need_some.isdisjoint(usable.split(", "))
        assert end == f", or another {role}"
    images = torch.rand(2, 3, 64, 96)
    value = create_loss("csf", **pair)(pair["student"].taps(images), pair["teacher"].taps(images))
    value.backward()
    assert next(iter(pair["student"].backbone.parameters())).grad is not None


@pytest.mark.parametrize(
    ("result", "wrong"),
    [
        (None, "nothing; it has no return"),
        (1.0, "a float"),
        (torch.zeros(1), r"a tensor of shape \(1,\) of torch.float32"),
        (torch.tensor(3), r"a tensor of shape \(\) of torch.int64"),
    ],
)
def test_a_loss_has_to_return_one_number(result: object, wrong: str) -> None:
    with pytest.raises(ConfigError, match=rf"'Term': forward returned {wrong}. It has to return one number"):
        compared(custom(result))
    term = torch.tensor(2.0, dtype=torch.bfloat16)
    assert compared(custom(term)) is term


def test_an_error_in_forward_names_its_line_and_what_the_loss_gets() -> None:
    @register_loss("custom")
    class Reads(DistillationLoss):
        def forward(self, student: Taps, teacher: Taps) -> Tensor:
            return (student.logits - teacher.logits).pow(2).mean()  # type: ignore[operator]

    with pytest.raises(ConfigError) as raised:
        compared(Reads)
    assert re.fullmatch(
        r"distillation loss 'custom' failed in forward, test_registry.py line \d+ \(`return \(student.logits .*`\): "
        r"TypeError: unsupported operand type\(s\) for -: 'NoneType' and 'NoneType'; it is called as forward\(student, "
        r"teacher\); logits and labels are given only if `requires` names them \(it is \['features'\]\)",
        str(raised.value),
    )
    assert isinstance(raised.value.__cause__, TypeError)
    Reads.requires = frozenset({"logits"})
    assert compared(Reads).ndim == 0


def test_a_forward_of_other_arguments() -> None:
    class Lacks(DistillationLoss):
        requires = frozenset({"logits", "labels"})

        def forward(self, student: Taps) -> Tensor:  # type: ignore[override]
            return student.features[0].mean()

    with pytest.raises(ConfigError, match=r"TypeError: .*; it is called as forward\(student, teacher, labels\)"):
        compared(Lacks)
    with pytest.raises(NotImplementedError, match="DistillationLoss defines no forward"):
        DistillationLoss((1,), (1,))(*(random_taps((1,), strides=(4,)) for _ in range(2)))


def test_memory_that_ran_out_our_own_messages_and_our_bugs_stay_what_they_are() -> None:
    for error in (torch.OutOfMemoryError("full"), ConfigError("mine")):
        with pytest.raises(type(error), match=f"^{error}$"):
            compared(custom(error))
    with pytest.raises(ZeroDivisionError):
        compared(custom(ZeroDivisionError(), "transkd.distillation.ours"))


def test_an_error_in_a_constructor_names_its_line() -> None:
    @register_loss("forgets")
    class Forgets(DistillationLoss):
        def __init__(self, student_channels: list[int], teacher_channels: list[int]) -> None:
            self.widen = nn.Conv2d(1, 1, 1)

    with pytest.raises(
        ConfigError, match=r"'forgets' failed in __init__, test_registry.py line \d+ .*super\(\).__init__"
    ):
        create_loss("forgets", student=STUDENT, teacher=TEACHER)
