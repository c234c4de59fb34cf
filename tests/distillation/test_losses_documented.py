"""docs/losses.md and conf/distillation state of every loss what the code does; its commands compose as they say."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose
from omegaconf import OmegaConf

from transkd.cli.compose import composing
from transkd.distillation import registry
from transkd.options import find_problems
from transkd.training.config import TrainConfig

from .tap_builder import LOSS_NAMES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "losses.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^transkd-train (.*)$", PAGE, flags=re.MULTILINE)
ROWS = {
    row[0]: row[1:]
    for row in re.findall(r"^\| `(\w+)` \| ([\w, ]+) \| ([\d.]+) \| (?:`(.*)`|none) \|$", PAGE, flags=re.MULTILINE)
}
FILES = sorted((ROOT / "conf" / "distillation").glob("*.yaml"))
METHODS = {file.stem: OmegaConf.to_container(OmegaConf.load(file)).get("losses", {}) for file in FILES}

Compose = Callable[..., dict[str, Any]]


def _losses(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    assert [str(problem) for problem in find_problems(TrainConfig, values)] == []
    return values["distillation"]["losses"]


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_the_table_names_what_it_reads_its_options_and_its_weight(name: str) -> None:
    compares, weight, options = ROWS[name]
    loss = registry._LOSSES[name]
    assert compares.split(", ") == sorted(loss.requires)
    parameters = list(inspect.signature(loss).parameters.values())[2:]
    assert options == ", ".join(f"{p.name}={p.default!r}" for p in parameters)
    assert list(METHODS.get(name, {name: {}})) == [name], f"conf/distillation/{name}.yaml is not of {name} alone"
    settings = [losses[name] for losses in METHODS.values() if "weight" in losses.get(name, {})]
    assert settings, f"no file in conf/distillation trains {name}"
    assert all(setting["weight"] == float(weight) for setting in settings)


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_it_has_a_section_with_a_source(name: str) -> None:
    _, found, rest = PAGE.partition(f"\n### `{name}`: ")
    assert found
    own = name in ("csf", "pea", "gl_mixer", "ea")  # their source heads their part of the page
    assert own or re.search(r"\b(ICLR|ICCV|CVPR|NeurIPS|ECCV) 20\d\d", rest.partition("\n#")[0])


@pytest.mark.parametrize("command", [c for c in COMMANDS if "--config-dir" not in c])
def test_commands_compose_into_what_they_say(command: str, compose_config: Compose) -> None:
    overrides = [word.replace("teacher.weights=…", "teacher.weights=random") for word in shlex.split(command)]
    losses = _losses(compose_config(*overrides))
    for word in overrides:
        if found := re.fullmatch(r"\+?distillation\.losses\.(\w+)\.weight=([\d.]+)", word):
            assert losses[found[1]]["weight"] == float(found[2])
        if found := re.fullmatch(r"\+distillation\.losses\.(\w+)\.schedule=(.*)", word):
            given = losses[found[1]]["schedule"]
            names = [s["name"] for s in (given if isinstance(given, list) else [given])]
            assert names == re.findall(r"name:(\w+)", found[2])
        if word.startswith("~"):
            assert word.rpartition(".")[2] not in losses


def test_the_custom_combination_composes(tmp_path: Path) -> None:
    file = re.search(r"```yaml\n# my_conf/(distillation/ea_kd\.yaml)\n(.*?)```", PAGE, flags=re.DOTALL)
    assert file is not None
    (tmp_path / "distillation").mkdir()
    (tmp_path / file[1]).write_text(file[2])
    overrides = ["+experiment=camvid_mitb0", "distillation=ea_kd", "teacher.weights=random"]
    with composing("transkd-train") as primary:
        config = compose(primary, [*overrides, f"hydra.searchpath=[file://{tmp_path}]"])
    losses = _losses(OmegaConf.to_container(config, resolve=True))
    assert losses == {"csf": {"weight": 1.0}, "ea": {"weight": 1.0}, "kd": {"weight": 1.0, "temperature": 2.0}}


@pytest.mark.parametrize("name", ["ifvd_kd", "cirkd_kd", "mgd_cwd_logits"])
def test_combinations_are_the_single_losses_as_they_are_alone(name: str, compose_config: Compose) -> None:
    values = compose_config("+experiment=camvid_mitb0", f"distillation={name}", "teacher.weights=random")
    assert values["distillation"]["name"] == name
    first, second = name.split("_", 1)
    alone = {loss: METHODS[loss][loss] for loss in (first, second)}
    assert _losses(values) == alone


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("cdw.weight=1", "cdw: there is no such loss; did you mean 'cwd'"),
        ("kd.temprature=2", "kd.temprature: there is no such key; did you mean 'temperature'"),
        ("kd.shedule={name:decay}", "kd.shedule: there is no such key; did you mean 'schedule'"),
    ],
)
@pytest.mark.parametrize("backbone", ["mit_b2", "null"])
def test_mistyped_names_are_reported_with_the_config_even_if_the_weights_define_the_backbone(
    wrong: str, message: str, backbone: str, compose_config: Compose
) -> None:
    overrides = ("+experiment=camvid_mitb0", "distillation=kd", f"teacher.backbone={backbone}", "teacher.weights=RUN")
    (problem,) = find_problems(TrainConfig, compose_config(*overrides, f"+distillation.losses.{wrong}"))
    assert str(problem).startswith(f"distillation.losses.{message}")
