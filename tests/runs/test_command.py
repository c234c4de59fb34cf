"""The command that made a run, and the commands that come after it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from transkd.runs.command import command_line, next_steps, teacher_command

SAVED = Path("runs/my teacher/model")
FOLDER = {"name": "folder", "root": "data/folder", "size": 512, "val_split": "val", "options": {}}
EXPERIMENTS = Path(__file__).parents[2] / "conf/experiment"


def distillation(typed: list[str]) -> list[str]:
    """Return the arguments of the command that distils from a teacher that these arguments trained."""
    return shlex.split(next_steps(SAVED, typed, FOLDER, is_student=False)[0].removeprefix("distil it: "))[1:]


@pytest.mark.parametrize("path", EXPERIMENTS.glob("*_teacher.yaml"), ids=lambda path: path.stem)
def test_an_experiments_teacher_teaches_its_student(path: Path, compose_config: Callable[..., Any]) -> None:
    typed = [f"+experiment={path.stem}", "data.root=some/data", "trainer.max_epochs=3", "name=x", "seed=4"]
    trained = compose_config(*typed)
    distil, score, export = next_steps(SAVED, typed, trained["data"], is_student=False)
    arguments = shlex.split(distil.removeprefix("distil it: transkd-train "))
    assert (EXPERIMENTS / f"{arguments[0].removeprefix('+experiment=')}.yaml").is_file()
    assert arguments[1:] == ["data.root=some/data", "teacher=auto", f"teacher.weights={SAVED}"]
    config = compose_config(*arguments)
    assert (config["student"]["backbone"], config["teacher"]["weights"]) == ("mit_b0", str(SAVED))
    assert config["distillation"]["losses"].keys() >= {"csf"}
    scored = dict(argument.split("=", 1) for argument in shlex.split(score.removeprefix("score it: transkd-eval ")))
    data = trained["data"]
    assert scored["model"] == str(SAVED)
    assert (scored["data"], scored["data.root"]) == (data["name"], "some/data")
    assert scored["data.size"] == str(data["size"]).replace(" ", "")
    assert scored.get("data.val_split", "val") == data["val_split"]
    assert export == "export it: transkd-export 'model=runs/my teacher/model' format=onnx output=student.onnx"


def test_custom_data_modules_and_configs_are_repeated(compose_config: Callable[..., Any]) -> None:
    typed = ["data=folder", "data.root=data/mine", "student=mit_b1", "data.size=96", "imports=[mine]", "optimizer.lr=1"]
    config = compose_config(*distillation(typed))
    assert (config["data"]["name"], config["data"]["root"], config["data"]["size"]) == ("folder", "data/mine", 96)
    assert (config["distillation"]["name"], config["imports"]) == ("transkd_ea", ["mine"])
    assert config["optimizer"]["lr"] != 1
    typed = ["data=folder", "+data.options.x=1", "--config-dir", "my conf", "-m"]
    assert distillation(typed)[:3] == ["--config-dir=my conf", "data=folder", "+data.options.x=1"]
    assert distillation(["+experiment=mine"])[:2] == ["+experiment=mine", "student=mit_b0"]


def test_a_teacher_is_trained_by_a_recipe_where_there_is_one() -> None:
    assert teacher_command("acdc") == "transkd-train +experiment=acdc_teacher"
    assert teacher_command("folder") == "transkd-train data=… student=mit_b2"


def test_custom_data_is_scored_as_it_was_validated() -> None:
    typed = ["data=folder", "data.options.masks={split}/seg", "data.val_split=valid", "data.batch_size=4"]
    data = {**FOLDER, "root": "my shapes", "size": (96, 128), "val_split": "valid"}
    use, score, export = next_steps(Path("runs/a/student"), typed, data, is_student=True)
    assert use == 'use it: transkd.load_segmenter("runs/a/student").predict(images)'
    assert score == (
        "score it: transkd-eval model=runs/a/student data=folder 'data.root=my shapes' "
        "'data.options.masks={split}/seg' 'data.size=[96,128]' data.val_split=valid"
    )
    assert export.startswith("export it: ")
    native = next_steps(SAVED, [], {**FOLDER, "size": "native"}, is_student=True)[1]
    assert native.endswith(" data.size=native")


def test_the_command_is_what_runs_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for program in ("/opt/env/bin/transkd-train", "/opt/env/lib/python3.11/site-packages/transkd/cli/train.py"):
        monkeypatch.setattr(sys, "argv", [program, "seed=1", "name=a b"])
        assert command_line() == "transkd-train seed=1 'name=a b'"
    monkeypatch.setattr(sys, "argv", ["/mine/train.py"])
    assert command_line() is None
