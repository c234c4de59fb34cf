"""``transkd-eval``: scores, files and refusals, as a person at a terminal meets them."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import yaml
from command_runs import ClassIds, Command, Outcome
from PIL import Image

from transkd.cli.eval.config import ProtocolConfig
from transkd.data import build_dataset
from transkd.data.classes import CITYSCAPES
from transkd.models import create_segmenter, load_segmenter


@pytest.fixture
def score(run: Command, drawn: Path, teachers: Path):
    def call(*arguments: str, model: str = "b0", root: Path = drawn, size: str | None = "[64,128]") -> Outcome:
        fixed = ["data=synthetic", f"data.root={root}", "workers=0", "batch_size=1", "resamples=50"]
        if size is not None:
            fixed.append(f"data.size={size}")
        return run(f"model={teachers / model}", *fixed, *arguments, name="transkd-eval")

    return call


def test_scores_pages_and_pictures_are_left_in_a_folder(score, drawn: Path, teachers: Path, tmp_path: Path) -> None:
    outcome = score("output=out", "pictures=1")
    assert outcome.code == 0, outcome.err
    report = json.loads((tmp_path / "out/scores.json").read_text())
    model = load_segmenter(teachers / "b0")
    right = labelled = 0
    dataset = build_dataset("cityscapes", drawn, "val")
    for item in (dataset[0], dataset[1]):
        kept = item["label"] != 255
        right += int((model.predict(item["image"][None])[0] == item["label"])[kept].sum())
        labelled += int(kept.sum())
    assert report["pixel_accuracy"] == pytest.approx(right / labelled)
    assert (report["protocol"]["name"], report["protocol"]["resolution"]) == ("full", "label")
    assert report["data"]["count"] == report["images"] == 2
    assert len(report["model"]["sha256"]) == 64
    assert set(report["per_category"]) <= {"flat", "construction", "object", "nature", "sky", "human", "vehicle"}
    assert report["category_miou"] > report["miou"]
    assert f"{100 * report['miou']:.2f}" in outcome.out
    assert f"| mIoU | {100 * report['miou']:.2f} |" in (tmp_path / "out/scores.md").read_text()
    assert Image.open(tmp_path / "out/confusion.png").size[0] > 300
    assert len(list((tmp_path / "out/best").iterdir())) == len(list((tmp_path / "out/worst").iterdir())) == 1


def test_the_papers_protocol_says_so(score, tmp_path: Path) -> None:
    outcome = score("output=paper", "protocol=paper", "protocol.size=64", "pictures=0", "boundary=false", size=None)
    assert outcome.code == 0
    assert "protocol paper, size 64: input short side 64; scored at a quarter of the input" in outcome.out
    report = json.loads((tmp_path / "paper/scores.json").read_text())
    assert (report["protocol"]["name"], report["protocol"]["resolution"]) == ("paper, size 64", "logit")
    assert report["boundary_iou"] is None


def test_windows_are_squares_of_the_short_side_and_folders_tell_evaluations_apart(score, tmp_path: Path) -> None:
    fast = ("pictures=0", "boundary=false")
    assert score(*fast).code == 0
    assert score(*fast, "inference=slide", "flip=true", "scales=[0.75,1]").code == 0
    plain, slide = sorted(path.name for path in (tmp_path / "evaluations").iterdir())
    assert plain.endswith("-b0-cityscapes-val-full-64x128")
    assert slide == f"{plain}-slide-flip-scales0.75_1"
    protocol = json.loads((tmp_path / "evaluations" / slide / "scores.json").read_text())["protocol"]
    assert (protocol["crop"], protocol["stride"]) == ([64, 64], [42, 42])
    assert (protocol["scales"], protocol["flip"]) == ([0.75, 1.0], True)


def test_a_folder_with_scores_is_replaced_only_when_told(score, tmp_path: Path) -> None:
    assert score("output=out", "pictures=0").code == 0
    assert "out exists already" in score("output=out").refused("transkd-eval", code=2)
    (tmp_path / "out/notes.txt").write_text("kept")
    (tmp_path / "out/best").mkdir()
    (tmp_path / "out/best/09-of-the-last-time.png").touch()
    assert "no such path" in score("output=out", "overwrite=true", model="nothing").refused("transkd-eval", code=1)
    assert (tmp_path / "out/scores.json").exists()
    assert score("output=out", "pictures=0", "overwrite=true").code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "confusion.png",
        "notes.txt",
        "scores.json",
        "scores.md",
    ]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    assert "holds no scores of transkd" in score("output=mine", "overwrite=true").refused("transkd-eval", code=2)


def test_a_model_of_other_classes_is_refused_with_their_names(score, tmp_path: Path) -> None:
    names = [*CITYSCAPES.names[:-1], "sofa"]
    create_segmenter("mit_b0", 19, class_names=names).save_pretrained(tmp_path / "sofas")
    message = score("output=out", model=str(tmp_path / "sofas")).refused("transkd-eval", code=2)
    assert "has other classes than the dataset: it has no 'bicycle'" in message
    assert "has 11 outputs without names" in score("output=out", model="b1_11").refused("transkd-eval", code=2)


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (
            "inferense=slide crop=[10,20] scales=[] flip=maybe",
            [
                "inferense: there is no such key; did you mean 'inference'?",
                "crop: give [height, width] in pixels, 32 or more each",
                "scales: give factors ([0.75, 1, 1.25])",
                "flip: give true or false",
            ],
        ),
        ("inference=slide crop=[64,64] stride=[65,10]", ["leave gaps between windows"]),
        ("device=cuda:9", ["device=cuda:9 is not there"]),
        (
            "data.label_size=image data.batch_size=1 protocol=paper",
            [
                "data.label_size: has no effect here; use protocol.label_size=image",
                "data.batch_size: has no effect here; use batch_size=1",
                "data.size: has no effect here; use protocol.size=[64,128]",
            ],
        ),
    ],
)
def test_every_mistake_is_named(score, arguments: str, reported: list[str]) -> None:
    message = score(*arguments.split()).refused("transkd-eval")
    assert all(line in message for line in reported), message


@pytest.mark.parametrize(
    ("name", "size", "resolution", "label_size", "title"),
    [
        ("paper", 512, "logit", "image", "paper"),
        ("paper", (256, 512), "logit", "own", "paper, size 256x512, label_size own"),
        ("full", 512, "label", "own", "full"),  # whose input size is the data's
        ("full", None, "logit", "own", "full, resolution logit"),
        ("my own", 64, "label", "image", "my own"),
    ],
)
def test_a_changed_protocol_has_another_name(name: str, size, resolution, label_size, title: str) -> None:
    assert ProtocolConfig(name=name, size=size, resolution=resolution, label_size=label_size).title == title


@pytest.mark.slow
def test_a_file_of_class_ids_scores_what_its_source_scores(score, teachers: Path, tmp_path: Path, monkeypatch) -> None:
    fast = ("pictures=1", "boundary=false")
    assert score("output=own", *fast).code == 0
    model = ClassIds(load_segmenter(teachers / "b0").predict, tmp_path / "ids.onnx", num_classes=19)
    monkeypatch.setattr("transkd.cli.eval.run.load_model", lambda _: model)
    assert score("output=ids", *fast).code == 0
    ids, own = (json.loads((tmp_path / f"{name}/scores.json").read_text()) for name in ("ids", "own"))
    assert ids["miou"] == own["miou"]
    message = score("output=x", "flip=true").refused("transkd-eval", code=2)
    assert "gives class ids, not logits, and windows, scales and flip average logits" in message
    message = score("output=x", "format=cityscapes").refused("transkd-eval", code=2)
    assert "cannot be brought to the images' own sizes" in message


def test_an_image_too_small_for_the_model_is_named(score, scenes: Path) -> None:
    file = next((scenes / "gtFine/val").rglob("*.png"))
    image = next((scenes / "leftImg8bit/val").rglob(f"{file.name.partition('_gtFine')[0]}_*"))
    for path in (file, image):
        with Image.open(path) as opened:
            opened.crop((0, 0, 40, 20)).save(path)
    message = score(root=scenes, size="native").refused("transkd-eval", code=1)
    assert f"{image}: 20x40 pixels, and the model needs 32 a side" in message


def test_a_place_that_cannot_be_written_shows_before_anything_is_scored(score, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("transkd.cli.eval.run.evaluate", lambda *_, **__: pytest.fail("scored"))
    (tmp_path / "file").touch()
    message = score("output=file/out").refused("transkd-eval", code=2)
    assert "file/out cannot be written (Not a directory): choose another output=…" in message


@pytest.mark.parametrize(
    ("error", "code", "reported"),
    [
        (KeyboardInterrupt(), 130, "stopped before it was done"),
        (OSError(errno.ENOSPC, "full", "/dev/shm/x"), 1, "there is no space left on the disk: /dev/shm/x"),
    ],
)
def test_what_ends_the_scoring_is_one_message(
    score, tmp_path: Path, monkeypatch, error, code: int, reported: str
) -> None:
    monkeypatch.setattr("transkd.cli.eval.run.evaluate", Mock(side_effect=error))
    assert reported in score("output=out").refused("transkd-eval", code=code)
    assert not list((tmp_path / "out").iterdir())


def test_a_split_without_labels_has_no_scores(score, scenes: Path, tmp_path: Path) -> None:
    for file in (scenes / "gtFine/val").rglob("*.png"):
        Image.fromarray(np.full((64, 128), 255, np.uint8)).save(file)
    message = score("output=out", root=scenes).refused("transkd-eval", code=1)
    assert "no pixel of the val split of cityscapes is labelled" in message
    assert not (tmp_path / "out/scores.json").exists()


def test_a_size_that_is_not_the_runs_is_reported(run: Command, drawn: Path, teachers: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(teachers / "b0", tmp_path / "run/student"))
    config = {"data": {"name": "cityscapes", "root": str(drawn), "size": [32, 64]}, "student": {"backbone": "mit_b0"}}
    (model.parent / "config.yaml").write_text(yaml.safe_dump(config))
    fixed = ["data=synthetic", f"data.root={drawn}", "workers=0", "resamples=0", "pictures=0", "boundary=false"]
    other = run(f"model={model}", *fixed, "data.size=48", "output=out", name="transkd-eval").out
    assert f"trained at 32x64 ({model.parent}/config.yaml), scored here at a short side of 48" in other
    same = run(f"model={model}", *fixed, "data.size=[32,64]", "output=same", name="transkd-eval")
    assert (same.code, "as it was trained" in same.out) == (0, False)
