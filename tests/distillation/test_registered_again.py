"""A loss of a notebook, whose cell runs a second time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from transkd.distillation import DistillationLoss, create_loss, register_loss
from transkd.distillation import registry as registry_module
from transkd.errors import ConfigError

from .tap_builder import Widths

WIDTHS = Widths((8, 16))


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry_module, "_LOSSES", dict(registry_module._LOSSES))
    return


def cell(name: str, module: str) -> type[DistillationLoss]:
    return type(name, (DistillationLoss,), {"__module__": module, "__qualname__": name})


def test_a_cell_that_runs_again_replaces_its_class() -> None:
    register_loss("mine")(cell("Mine", "__main__"))
    second = register_loss("mine")(cell("Mine", "__main__"))
    assert type(create_loss("mine", student=WIDTHS, teacher=WIDTHS)) is second


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
    assert type(create_loss("mine", student=WIDTHS, teacher=WIDTHS)) is first
