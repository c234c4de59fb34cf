"""The commands that a training ends with are those that a user goes on with."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from transkd.training.config import DataConfig
from transkd.training.next_steps import next_steps, teacher_command

SAVED = Path("runs/my teacher/model")
FOLDER = DataConfig(
    name="folder",
    root="data/folder",
    size=512,
    batch_size=8,
    val_batch_size=1,
    workers=0,
    train_split="train",
    val_split="val",
    label_size="own",
    options={},
)
EXPERIMENTS = Path(__file__).parents[2] / "conf/experiment"


@pytest.mark.parametrize("path", EXPERIMENTS.glob("*_teacher.yaml"), ids=lambda path: path.stem)
def test_an_experiments_teacher_goes_on_as_its_students_teacher(path: Path, compose_config: Callable[..., Any]) -> None:
    typed = [f"+experiment={path.stem}", "data.root=some/data", "trainer.max_epochs=3", "name=x", "seed=4"]
    trained = compose_config(*typed)
    distil, score, export = next_steps(SAVED, typed, DataConfig(**trained["data"]), is_student=False)
    command, *arguments = shlex.split(distil.removeprefix("distil it: "))
    assert command == "transkd-train"
    assert (EXPERIMENTS / f"{arguments[0].removeprefix('+experiment=')}.yaml").is_file()
    assert arguments[1:] == ["data.root=some/data", "teacher=auto", f"teacher.weights={SAVED}"]
    config = compose_config(*arguments)
    assert (config["student"]["backbone"], config["teacher"]["weights"]) == ("mit_b0", str(SAVED))
    assert config["distillation"]["losses"].keys() >= {"csf"}
    assert score.startswith("score it: transkd-eval 'model=runs/my teacher/model' data=")
    scored = compose_config(*shlex.split(score)[4:], command="transkd-eval")
    assert {key: scored["data"][key] for key in ("name", "root", "size", "val_split", "options")} == {
        key: trained["data"][key] for key in ("name", "root", "size", "val_split", "options")
    }
    assert export == "export it: transkd-export 'model=runs/my teacher/model' format=onnx output=student.onnx"


def test_data_of_ones_own_is_said_again(compose_config: Callable[..., Any]) -> None:
    typed = ["data=folder", "data.root=data/mine", "student=mit_b1", "data.size=96", "imports=[mine]", "optimizer.lr=1"]
    arguments = shlex.split(
        next_steps(SAVED, typed, FOLDER, is_student=False)[0].removeprefix("distil it: transkd-train ")
    )
    config = compose_config(*arguments)
    assert (config["data"]["name"], config["data"]["root"], config["data"]["size"]) == ("folder", "data/mine", 96)
    assert (config["distillation"]["name"], config["imports"]) == ("transkd_ea", ["mine"])
    assert config["optimizer"]["lr"] != 1


def test_options_of_the_data_and_configs_of_ones_own_are_said_again() -> None:
    typed = ["data=folder", "data.options.images={split}/rgb", "+data.options.x=1", "--config-dir", "my conf", "-m"]
    arguments = shlex.split(
        next_steps(SAVED, typed, FOLDER, is_student=False)[0].removeprefix("distil it: transkd-train ")
    )
    assert arguments[:4] == [
        "--config-dir=my conf",
        "data=folder",
        "data.options.images={split}/rgb",
        "+data.options.x=1",
    ]


@pytest.mark.parametrize(
    ("dataset", "command"),
    [("acdc", "transkd-train +experiment=acdc_teacher"), ("folder", "transkd-train data=… student=mit_b2")],
)
def test_a_teacher_is_trained_by_a_recipe_where_there_is_one(dataset: str, command: str) -> None:
    assert teacher_command(dataset) == command


def test_data_of_ones_own_is_scored_as_it_was_validated(compose_config: Callable[..., Any]) -> None:
    typed = [
        "data=folder",
        "data.options.masks={split}/seg",
        "data.val_split=valid",
        "data.batch_size=4",
        "data.workers=0",
    ]
    data = FOLDER.model_copy(update={"root": "my shapes", "size": (96, 128), "val_split": "valid"})
    score = next_steps(Path("runs/a/student"), typed, data, is_student=True)[1]
    assert score == (
        "score it: transkd-eval model=runs/a/student data=folder 'data.root=my shapes' "
        "'data.options.masks={split}/seg' 'data.size=[96,128]' data.val_split=valid"
    )


def test_a_student_is_used_and_exported() -> None:
    steps = next_steps(Path("runs/a/student"), [], FOLDER, is_student=True)
    assert steps[0] == 'use it: transkd.load_segmenter("runs/a/student").predict(images)'
    assert [step.split(":")[0] for step in steps] == ["use it", "score it", "export it"]
