"""docs/losses.md and conf/distillation say of every loss what the code does."""

from __future__ import annotations

import inspect
import re
from functools import cache
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from transkd.distillation import create_loss, registry

from .tap_builder import LOSS_NAMES, STUDENT_CHANNELS, TEACHER_CHANNELS, Widths

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "losses.md").read_text(encoding="utf-8")
ROWS = {
    row[0]: row[1:]
    for row in re.findall(r"^\| `(\w+)` \| ([\w, ]+) \| ([\d.]+) \| (?:`(.*)`|none) \|$", PAGE, flags=re.MULTILINE)
}

pytestmark = pytest.mark.parametrize("name", LOSS_NAMES)


@cache
def _methods() -> dict[str, dict[str, dict[str, object]]]:
    """Return the losses that each file of conf/distillation names itself."""
    files = sorted((ROOT / "conf" / "distillation").glob("*.yaml"))
    return {file.stem: OmegaConf.to_container(OmegaConf.load(file)).get("losses", {}) for file in files}


def test_the_table_names_what_it_reads_and_its_options(name: str) -> None:
    compares, _, options = ROWS[name]
    loss = registry._LOSSES[name]
    assert compares.split(", ") == sorted(loss.requires)
    parameters = list(inspect.signature(loss).parameters.values())[2:]
    assert options == ", ".join(f"{p.name}={p.default!r}" for p in parameters)


def test_it_has_a_section_with_a_source(name: str) -> None:
    _, found, rest = PAGE.partition(f"\n### `{name}`: ")
    assert found
    section = rest.partition("\n#")[0]
    own = name in ("csf", "pea", "gl_mixer", "ea")  # their source heads their part of the page
    assert own or re.search(r"\b(ICLR|ICCV|CVPR|NeurIPS|ECCV) 20\d\d", section)


def test_a_method_of_conf_trains_it_at_the_weight_of_the_table(name: str) -> None:
    weight = float(ROWS[name][1])
    own = _methods().get(name, {name: {}})
    assert list(own) == [name], f"conf/distillation/{name}.yaml is not of {name} alone"
    settings = [losses[name] for losses in _methods().values() if "weight" in losses.get(name, {})]
    assert settings, f"no file in conf/distillation trains {name}"
    assert all(setting["weight"] == weight for setting in settings)
    for setting in settings:
        options = {option: value for option, value in setting.items() if option != "weight"}
        create_loss(name, student=Widths(STUDENT_CHANNELS), teacher=Widths(TEACHER_CHANNELS), **options)
