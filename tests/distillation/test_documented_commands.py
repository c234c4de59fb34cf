"""Each command of docs/losses.md composes and passes the checks of a config; ready combinations are as published."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose
from omegaconf import OmegaConf

from transkd.cli.compose import composing
from transkd.options import find_problems
from transkd.training.config import TrainConfig

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "losses.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^transkd-train (.*)$", PAGE, flags=re.MULTILINE)

Compose = Callable[..., dict[str, Any]]


def _overrides(command: str) -> list[str]:
    return [word.replace("teacher.weights=…", "teacher.weights=random") for word in shlex.split(command)]


def _losses(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    assert [str(problem) for problem in find_problems(TrainConfig, values)] == []
    return values["distillation"]["losses"]


@pytest.mark.parametrize("command", [c for c in COMMANDS if "--config-dir" not in c])
def test_commands_compose_into_what_they_say(command: str, compose_config: Compose) -> None:
    overrides = _overrides(command)
    losses = _losses(compose_config(*overrides))
    for word in overrides:
        if found := re.fullmatch(r"\+?distillation\.losses\.(\w+)\.weight=([\d.]+)", word):
            assert losses[found[1]]["weight"] == float(found[2])
        if found := re.fullmatch(r"\+distillation\.losses\.(\w+)\.schedule=(.*)", word):
            given = losses[found[1]]["schedule"]
            assert [s["name"] for s in (given if isinstance(given, list) else [given])] == re.findall(
                r"name:(\w+)", found[2]
            )
        if word.startswith("~"):
            assert word.rpartition(".")[2] not in losses


def test_there_are_commands_of_every_form() -> None:
    text = "\n".join(COMMANDS)
    assert all(form in text for form in ("+distillation", "~distillation", ".schedule={", ".schedule=[{", "stages:["))


def test_the_combination_of_ones_own_composes(tmp_path: Path) -> None:
    (command,) = [c for c in COMMANDS if "--config-dir" in c]
    file = re.search(r"```yaml\n# my_conf/(distillation/ea_kd\.yaml)\n(.*?)```", PAGE, flags=re.DOTALL)
    assert file is not None
    (tmp_path / "distillation").mkdir()
    (tmp_path / file[1]).write_text(file[2])
    overrides = [word for word in _overrides(command) if not word.startswith("--config-dir")]
    with composing("transkd-train") as primary:
        config = compose(primary, [*overrides, f"hydra.searchpath=[file://{tmp_path}]"])
    values = OmegaConf.to_container(config, resolve=True)
    assert isinstance(values, dict)
    assert values["distillation"]["name"] == "ea_kd"
    assert _losses(values) == {
        "csf": {"weight": 1.0},
        "ea": {"weight": 1.0},
        "kd": {"weight": 1.0, "temperature": 2.0},
    }


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("ifvd_kd", {"ifvd": 20.0, "kd": 1.0}),
        ("cirkd_kd", {"cirkd": 1.0, "kd": 1.0}),
        ("mgd_cwd_logits", {"mgd": 2e-5, "cwd_logits": 3.0}),
    ],
)
def test_ready_combinations_are_the_single_losses_at_the_published_weights(
    name: str, weights: dict[str, float], compose_config: Compose
) -> None:
    values = compose_config("+experiment=camvid_mitb0", f"distillation={name}", "teacher.weights=random")
    assert values["distillation"]["name"] == name
    losses = _losses(values)
    assert {loss: setting["weight"] for loss, setting in losses.items()} == weights
    for loss in weights:
        alone = compose_config("+experiment=camvid_mitb0", f"distillation={loss}")
        assert losses[loss] == alone["distillation"]["losses"][loss]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("+distillation.losses.cdw.weight=1", "distillation.losses.cdw: there is no such loss; did you mean 'cwd'"),
        (
            "+distillation.losses.kd.temprature=2",
            "distillation.losses.kd.temprature: there is no such key; did you mean 'temperature'",
        ),
        (
            "+distillation.losses.kd.shedule={name:decay}",
            "distillation.losses.kd.shedule: there is no such key; did you mean 'schedule'",
        ),
    ],
)
@pytest.mark.parametrize("backbone", ["mit_b2", "null"])
def test_mistyped_names_are_told_with_the_config_even_if_the_weights_say_the_backbone(
    wrong: str, said: str, backbone: str, compose_config: Compose
) -> None:
    overrides = ("+experiment=camvid_mitb0", "distillation=kd", f"teacher.backbone={backbone}", "teacher.weights=RUN")
    (problem,) = find_problems(TrainConfig, compose_config(*overrides, wrong))
    assert str(problem).startswith(said)
