"""Mistakes in a custom loss: one message with the place, in Python and by the command."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from transkd import DistillationLoss, create_loss, register_loss
from transkd.distillation import registry
from transkd.errors import ConfigError
from transkd.models import Taps

from .tap_builder import Widths

LABELS = torch.zeros(2, 32, 32, dtype=torch.uint8)


class Own(DistillationLoss):
    """Returns its result, or raises it."""

    result: object = None

    def forward(self, student: Taps, teacher: Taps) -> Tensor:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def forgets_what_was_registered() -> Iterator[None]:
    before = dict(registry._LOSSES)
    yield
    registry._LOSSES.clear()
    registry._LOSSES.update(before)


def taps(channels: int) -> Taps:
    maps = tuple(torch.rand(2, channels, 8 // 2**i, 8 // 2**i, requires_grad=True) for i in range(4))
    return Taps(torch.rand(2, 3, 32, 32), maps, maps, torch.rand(2, 5, 8, 8, requires_grad=True))


def compared(cls: type[DistillationLoss]) -> Tensor:
    return cls([4] * 4, [4] * 4).compare(taps(4), taps(4), LABELS)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (None, "nothing; it has no return"),
        (1.0, "a float"),
        (torch.zeros(1), r"a tensor of shape \(1,\) of torch.float32"),
        (torch.tensor(3), r"a tensor of shape \(\) of torch.int64"),
    ],
)
def test_what_is_no_term(result: object, said: str) -> None:
    cls = type("Term", (Own,), {"result": result, "__module__": __name__})
    with pytest.raises(ConfigError, match=rf"'Term': forward returned {said}. It has to return one number"):
        compared(cls)


def test_a_scalar_is_taken_as_it_is() -> None:
    term = torch.tensor(2.0, dtype=torch.bfloat16)
    assert compared(type("Term", (Own,), {"result": term, "__module__": __name__})) is term


def test_an_error_names_its_line_and_what_there_is() -> None:
    @register_loss("own")
    class Reads(DistillationLoss):
        def forward(self, student: Taps, teacher: Taps) -> Tensor:
            return (student.logits - teacher.logits).pow(2).mean()  # type: ignore[operator]

    with pytest.raises(ConfigError) as raised:
        compared(Reads)
    assert re.fullmatch(
        r"distillation loss 'own' failed in forward, test_custom_losses.py line \d+ \(`return \(student.logits .*`\): "
        r"TypeError: unsupported operand type\(s\) for -: 'NoneType' and 'NoneType'; called as forward\(student, "
        r"teacher\), with .embeddings and .features of each stage, without logits or labels: "
        r"`requires = frozenset\(\{'features', 'logits'\}\)` requests logits",
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

    with pytest.raises(
        ConfigError, match=r"failed in forward: TypeError: .*; called as forward\(student, teacher, labels\)"
    ):
        compared(Lacks)


def test_memory_that_ran_out_and_our_own_messages_stay_what_they_are() -> None:
    for error in (torch.OutOfMemoryError("full"), ConfigError("mine")):
        with pytest.raises(type(error), match=f"^{error}$"):
            compared(type("Term", (Own,), {"result": error, "__module__": __name__}))


def test_a_bug_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        compared(type("Ours", (Own,), {"result": ZeroDivisionError(), "__module__": "transkd.distillation.ours"}))


def test_an_error_in_a_constructor_names_its_line() -> None:
    @register_loss("forgets")
    class Forgets(DistillationLoss):
        def __init__(self, student_channels: list[int], teacher_channels: list[int]) -> None:
            self.widen = nn.Conv2d(1, 1, 1)

    class Four:
        channels = (4, 4, 4, 4)

    with pytest.raises(
        ConfigError, match=r"'forgets' failed in __init__, test_custom_losses.py line \d+ .*super\(\).__init__"
    ):
        create_loss("forgets", student=Four(), teacher=Four())


@pytest.mark.parametrize(
    ("requires", "said"),
    [
        ("logits", r"requires has to be a set of names, such as frozenset\(\{'logits'\}\), got 'logits'"),
        (None, "requires has to be a set of names"),
        ({"features", "logit"}, "requires names 'logit', which no loss can read; did you mean 'logits'"),
    ],
)
def test_what_a_loss_requires_has_to_be_there(requires: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        register_loss("wants")(type("Wants", (Own,), {"requires": requires}))
    assert "wants" not in registry.available_losses()


@pytest.mark.parametrize("name", ["a.b", "", None, 3, "keys", "training", "ce", "loss", "lr"])
def test_names_that_no_loss_can_have(name: object) -> None:
    with pytest.raises(ConfigError, match="a distillation loss cannot be called"):
        register_loss(name)(type("Named", (Own,), {}))  # type: ignore[arg-type]


def cell(name: str, module: str) -> type[DistillationLoss]:
    return type(name, (DistillationLoss,), {"__module__": module, "__qualname__": name})


def test_a_cell_that_runs_again_replaces_its_class() -> None:
    register_loss("mine")(cell("Mine", "__main__"))
    second = register_loss("mine")(cell("Mine", "__main__"))
    assert type(create_loss("mine", student=Widths((8, 16)), teacher=Widths((8, 16)))) is second


@pytest.mark.parametrize(
    ("former", "later"),
    [
        (("Mine", "__main__"), ("Yours", "__main__")),
        (("Mine", "one_module"), ("Mine", "one_module")),
        (("Mine", "one_module"), ("Mine", "__main__")),
    ],
)
def test_other_classes_do_not_take_the_name(former: tuple[str, str], later: tuple[str, str]) -> None:
    first = register_loss("mine")(cell(*former))
    with pytest.raises(ConfigError, match="'mine' is registered already, by Mine; choose another name"):
        register_loss("mine")(cell(*later))
    assert type(create_loss("mine", student=Widths((8, 16)), teacher=Widths((8, 16)))) is first
