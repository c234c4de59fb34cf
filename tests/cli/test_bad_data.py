"""What is wrong with the files, as a person who trains sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_runs import Command, tiny_run
from PIL import Image


def without_a_label(root: Path) -> None:
    next((root / "gtFine/train").rglob("*_labelIds.png")).unlink()


def truncated(root: Path) -> None:
    for image in sorted(root.glob("leftImg8bit/train/*/*.png"))[1:]:  # the first one is read before training
        image.write_bytes(image.read_bytes()[:400])


def of_unknown_ids(root: Path) -> None:
    for label in root.glob("gtFine/train/*/*_labelIds.png"):
        Image.fromarray(np.full((64, 128), 77, np.uint8)).save(label)


@pytest.mark.parametrize(
    ("damage", "workers", "reported"),
    [
        (without_a_label, 0, ["1 images without labels"]),
        (truncated, 2, ["leftImg8bit/train/", "truncated or damaged"]),
        (of_unknown_ids, 0, ["_gtFine_labelIds.png", "77"]),
    ],
)
def test_files_that_cannot_be_trained_on_are_named(
    run: Command, scenes: Path, damage: Callable[[Path], None], workers: int, reported: list[str]
) -> None:
    damage(scenes)
    message = run(*tiny_run(scenes, workers=workers)).refused(code=1)
    assert all(part in message for part in reported), message
    assert "DataLoader" not in message


def test_a_missing_root_states_the_layout_and_where_the_data_is_published(run: Command) -> None:
    message = run("data.root=nowhere").refused(code=1)
    assert "nowhere does not exist" in message
    assert "leftImg8bit/{train,val}/CITY/*_leftImg8bit.png" in message
    assert "https://www.cityscapes-dataset.com" in message
    assert "transkd-data action=synth" in message


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        ("distillation=transkd_base", ["teacher.weights is not set", "teacher.weights=random"]),
        (
            "distillation=transkd_base teacher.weights=nowhere",
            ["there are no weights at nowhere", "transkd-train +experiment="],
        ),
        (
            "distillation=transkd_base teacher=mit_b1 teacher.weights={teachers}/b0",
            ["backbone mit_b0, not mit_b1", "teacher=mit_b0, or teacher=auto"],
        ),
        ("student=mit_b1 student.weights={teachers}/b1_11", ["has 11 classes, but the dataset has 19"]),
        ("student.weights=nowhere", ["there are no weights at nowhere"]),
        ("resume=nowhere.ckpt", ["there is no checkpoint nowhere.ckpt"]),
    ],
)
def test_weights_that_do_not_fit(
    run: Command, tiny: list[str], teachers: Path, arguments: str, reported: list[str]
) -> None:
    message = run(*tiny, *arguments.format(teachers=teachers).split()).refused(code=1)
    assert all(part in message for part in reported), message


@pytest.mark.slow
def test_a_run_trains_saves_and_reports_where(run: Command, tiny: list[str], tmp_path: Path, teachers: Path) -> None:
    taught = ("teacher=auto", f"teacher.weights={teachers}/b1_11")  # of other classes: it teaches by its features
    outcome = run(*tiny, "distillation=transkd_ea", *taught, "output=out")
    assert outcome.code == 0, outcome.err
    assert f"teacher  mit_b1, {teachers}/b1_11" in outcome.out
    assert 0 <= json.loads((tmp_path / "out/results.json").read_text())["miou"] <= 1
    assert (tmp_path / "out/student/model.safetensors").is_file()
    assert "Segmenters" in outcome.out
    assert run(*tiny, "output=out").code == 2


@pytest.mark.slow
def test_a_custom_folder_trains(run: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "own" / kind).mkdir(parents=True)
    for i in range(6):
        Image.fromarray(rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)).save(tmp_path / f"own/images/{i}.jpg")
        Image.fromarray(rng.integers(0, 3, (64, 96), dtype=np.uint8)).save(tmp_path / f"own/masks/{i}.png")
    (tmp_path / "own/classes.yaml").write_text("- road\n- car\n- sky\n")
    own = ["data=folder", *tiny_run(tmp_path / "own")]
    assert "give 3 numbers" in run(*own, "objective.class_weights=[1,2]").refused()
    outcome = run(*own, "output=out")
    assert outcome.code == 0, outcome.err
    assert "5 training and 1 validation scenes, 3 classes" in outcome.out
    assert json.loads((tmp_path / "out/results.json").read_text())["per_class"].keys() == {"road", "car", "sky"}
