"""The commands that a training ends with are those that a user goes on with."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from transkd.training.next_steps import next_steps

SAVED = Path("runs/my teacher/model")
EXPERIMENTS = Path(__file__).parents[2] / "conf/experiment"


@pytest.mark.parametrize("path", EXPERIMENTS.glob("*_teacher.yaml"), ids=lambda path: path.stem)
def test_an_experiments_teacher_goes_on_as_its_students_teacher(path: Path, compose_config: Callable[..., Any]) -> None:
    typed = [f"+experiment={path.stem}", "data.root=some/data", "trainer.max_epochs=3", "name=x", "seed=4"]
    distil, export = next_steps(SAVED, typed, is_student=False)
    command, *arguments = shlex.split(distil.removeprefix("distil it: "))
    assert command == "transkd-train"
    assert (EXPERIMENTS / f"{arguments[0].removeprefix('+experiment=')}.yaml").is_file()
    assert arguments[1:] == ["data.root=some/data", "teacher=auto", f"teacher.weights={SAVED}"]
    config = compose_config(*arguments)
    assert (config["student"]["backbone"], config["teacher"]["weights"]) == ("mit_b0", str(SAVED))
    assert config["distillation"]["losses"].keys() >= {"csf"}
    assert export == "export it: transkd-export 'model=runs/my teacher/model' format=onnx output=student.onnx"


def test_data_of_ones_own_is_said_again(compose_config: Callable[..., Any]) -> None:
    typed = ["data=folder", "data.root=data/mine", "student=mit_b1", "data.size=96", "imports=[mine]", "optimizer.lr=1"]
    arguments = shlex.split(next_steps(SAVED, typed, is_student=False)[0].removeprefix("distil it: transkd-train "))
    config = compose_config(*arguments)
    assert (config["data"]["name"], config["data"]["root"], config["data"]["size"]) == ("folder", "data/mine", 96)
    assert (config["distillation"]["name"], config["imports"]) == ("transkd_ea", ["mine"])
    assert config["optimizer"]["lr"] != 1


def test_a_student_is_used_and_exported() -> None:
    steps = next_steps(Path("runs/a/student"), [], is_student=True)
    assert steps[0] == 'use it: transkd.load_segmenter("runs/a/student").predict(images)'
    assert [step.split(":")[0] for step in steps] == ["use it", "export it"]
