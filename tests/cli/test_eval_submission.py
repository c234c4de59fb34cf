"""Files for the test servers, against Cityscapes' own evaluator, its label table, and the servers' own words."""

from __future__ import annotations

import errno
import json
import os
import re
import zipfile
from pathlib import Path
from unittest.mock import Mock

import cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling as official  # noqa: N813
import numpy as np
import pytest
import torch
from cityscapesscripts.helpers.labels import name2label
from command_runs import Command, Outcome
from PIL import Image

from transkd.data.classes import CITYSCAPES
from transkd.models import create_segmenter, load_segmenter

REAL = (1024, 2048)
SMALL = (64, 96)
ACDC_FRAMES = ("fog/{split}/GOPR0475/GOPR0475_frame_000247", "night/{split}/GP010376/GP010376_frame_000015")
FAST = ("workers=0", "batch_size=1", "pictures=0", "boundary=false", "resamples=0")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A segmenter that answers with many classes, which it has in an order of its own."""
    folder = tmp_path_factory.mktemp("models") / "student"
    torch.manual_seed(1)
    order = torch.randperm(19, generator=torch.Generator().manual_seed(0)).tolist()
    segmenter = create_segmenter("mit_b0", 19, class_names=[CITYSCAPES.names[i] for i in order])
    with torch.no_grad():
        segmenter.head.classifier.bias.zero_()
        segmenter.head.classifier.weight.normal_(std=1)
    segmenter.save_pretrained(folder)
    return folder


def picture(path: Path, size: tuple[int, int], seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (size[0] // 16, size[1] // 16, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize(size[::-1], Image.Resampling.BICUBIC).save(path)


@pytest.fixture
def cityscapes(tmp_path: Path) -> Path:
    """Two validation scenes, one of the real size, and two test images, as downloaded."""
    root = tmp_path / "cityscapes"
    for split, name, size in (
        ("val", "frankfurt/frankfurt_000000_000294", REAL),
        ("val", "munster/munster_000173_000019", SMALL),
        ("test", "berlin/berlin_000000_000019", SMALL),
        ("test", "bonn/bonn_000045_000019", (SMALL[0] + 1, SMALL[1])),
    ):
        picture(root / "leftImg8bit" / split / f"{name}_leftImg8bit.png", size, len(name))
        if split == "val":
            file = root / "gtFine" / split / f"{name}_gtFine_labelIds.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            ids = np.random.default_rng(0).integers(0, 34, (size[0] // 16, size[1] // 16), dtype=np.uint8)
            Image.fromarray(np.kron(ids, np.ones((16, 16), np.uint8))).save(file)
    return root


@pytest.fixture
def write(run: Command, model: Path):
    def call(root: Path, *arguments: str, data: str = "cityscapes") -> Outcome:
        sizes = (
            () if any(given.startswith(("data.size", "protocol.size")) for given in arguments) else ("data.size=64",)
        )
        fixed = (f"model={model}", f"data={data}", f"data.root={root}", "output=out", *FAST, *sizes)
        return run(*fixed, *arguments, name="transkd-eval")

    return call


def read(path: Path) -> np.ndarray:
    with Image.open(path) as file:
        assert (file.format, file.mode) == ("PNG", "L")
        return np.asarray(file)


def official_scores(labels: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """Return what the benchmark's evaluator makes of a folder, where it looks for the files itself."""
    for name, value in {
        "evalInstLevelScore": False,
        "quiet": True,
        "JSONOutput": False,
        "predictionPath": str(folder),
        "predictionWalk": None,
    }.items():
        monkeypatch.setattr(official.args, name, value)
    found = [official.getPrediction(official.args, label) for label in labels]
    return official.evaluateImgLists(found, labels, official.args)


@pytest.mark.parametrize(
    "views", [(), ("inference=slide", "crop=[48,64]", "stride=[40,64]", "flip=true", "scales=[1,1.5]")]
)
def test_the_files_score_what_the_scores_say_by_the_benchmarks_own_evaluator(
    write, cityscapes: Path, tmp_path: Path, monkeypatch, views
) -> None:
    outcome = write(cityscapes, "split=val", "format=cityscapes", *views)
    assert outcome.code == 0, outcome.err
    report = json.loads((tmp_path / "out/scores.json").read_text())
    labels = sorted(map(str, (cityscapes / "gtFine").rglob("*_labelIds.png")))
    theirs = official_scores(labels, tmp_path / "out/labelIds", monkeypatch)
    for name, score in report["per_class"].items():
        assert score == pytest.approx(theirs["classScores"][name]), name
    assert report["miou"] == pytest.approx(theirs["averageScoreClasses"]) != 0
    assert report["category_miou"] == pytest.approx(theirs["averageScoreCategories"])
    assert "1 of 2 files are not 1024x2048 pixels as the server's images are (the images here are 64x96)" in outcome.out


def test_the_test_split_needs_no_labels_and_has_no_scores(write, cityscapes: Path, model: Path, tmp_path: Path) -> None:
    outcome = write(cityscapes, "split=test", "format=cityscapes", "zip=true", "data.size=native")
    assert outcome.code == 0, outcome.err
    assert "no pixel of these images is labelled: there is nothing to score" in outcome.out
    assert "2 files of label ids for cityscapes in out/labelIds" in outcome.out
    assert "there are 2 files, and the server has 1525 images" in outcome.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "labelIds",
        "submission.json",
        "submission.zip",
    ]
    segmenter = load_segmenter(model)
    assert segmenter.class_names is not None
    for city, name in (("berlin", "berlin_000000_000019"), ("bonn", "bonn_000045_000019")):
        with Image.open(cityscapes / f"leftImg8bit/test/{city}/{name}_leftImg8bit.png") as file:
            image = torch.from_numpy(np.array(file)).permute(2, 0, 1)[None]
        classes = segmenter.predict(image)[0].numpy()
        expected = np.vectorize(lambda k: name2label[segmenter.class_names[k]].id)(classes)
        np.testing.assert_array_equal(read(tmp_path / f"out/labelIds/{name}_labelIds.png"), expected)
    with zipfile.ZipFile(tmp_path / "out/submission.zip") as zipped:
        assert zipped.testzip() is None
        names = zipped.namelist()
        assert names == ["labelIds/berlin_000000_000019_labelIds.png", "labelIds/bonn_000045_000019_labelIds.png"]
        packed = zipped.read(names[0])
    assert packed == (tmp_path / "out" / names[0]).read_bytes()
    report = json.loads((tmp_path / "out/submission.json").read_text())
    assert (report["protocol"]["split"], report["submission"]["files"], report["images"]) == ("test", 2, 2)
    assert report["submission"]["archive"]["bytes"] == (tmp_path / "out/submission.zip").stat().st_size
    assert "miou" not in report


def test_acdc_takes_train_ids_under_the_images_names(write, tmp_path: Path, model: Path) -> None:
    root = tmp_path / "acdc"
    for condition in ("fog", "night", "rain", "snow"):
        (root / "rgb_anon" / condition / "test").mkdir(parents=True)
    frames = [frame.format(split="test") for frame in ACDC_FRAMES]
    for seed, frame in enumerate(frames):
        picture(root / "rgb_anon" / f"{frame}_rgb_anon.png", SMALL, seed)
    chosen = "data.options.conditions=[fog,night]"
    outcome = write(root, "split=test", "format=acdc", chosen, "zip=true", data="acdc")
    assert outcome.code == 0, outcome.err
    expected = ["labelTrainIds/GOPR0475_frame_000247_rgb_anon.png", "labelTrainIds/GP010376_frame_000015_rgb_anon.png"]
    with zipfile.ZipFile(tmp_path / "out/submission.zip") as zipped:
        assert zipped.namelist() == expected
    segmenter = load_segmenter(model)
    with Image.open(root / "rgb_anon" / f"{frames[0]}_rgb_anon.png") as file:
        classes = segmenter.predict(torch.from_numpy(np.array(file)).permute(2, 0, 1)[None])[0].numpy()
    train_ids = np.vectorize(lambda k: name2label[segmenter.class_names[k]].trainId)(classes)
    np.testing.assert_array_equal(read(tmp_path / "out" / expected[0]), train_ids)
    message = write(root, "split=test", "format=acdc", "output=other", data="acdc").refused("transkd-eval", code=1)
    assert re.search(r"rgb_anon/rain/test holds no images", message)


def test_a_result_stays_until_the_next_is_packed_and_unfinished_files_do_not_stay(
    write, cityscapes: Path, tmp_path: Path, monkeypatch
) -> None:
    asked = ("split=test", "format=cityscapes", "zip=true")
    with monkeypatch.context() as patch:
        patch.setattr("transkd.cli.eval.run.pack_files", Mock(side_effect=KeyboardInterrupt))
        assert write(cityscapes, *asked).code == 130
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["labelIds.unfinished"]
    assert write(cityscapes, *asked).code == 0
    assert "out exists already" in write(cityscapes, *asked).refused("transkd-eval", code=2)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}
    full = Mock(side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with monkeypatch.context() as patch:
        patch.setattr("transkd.evaluation.submission.zipfile.ZipFile", full)
        message = write(cityscapes, *asked, "overwrite=true").refused("transkd-eval", code=2)
    assert "out cannot be written (No space left on device)" in message
    assert {path: path.read_bytes() for path in before} == before
    (tmp_path / "out/labelIds").mkdir(exist_ok=True)
    (tmp_path / "out/labelIds/stale.png").touch()
    assert write(cityscapes, *asked, "overwrite=true").code == 0
    assert len(list((tmp_path / "out/labelIds").iterdir())) == 2
    assert write(cityscapes, "split=val", "overwrite=true").code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["confusion.png", "scores.json", "scores.md"]


def test_what_cannot_be_written_for_a_server(write, cityscapes: Path) -> None:
    for arguments, reported in {
        "format=acdc": "format: acdc is for data=acdc, not for cityscapes: leave it out",
        "zip=true": "zip: packs the files for a test server",
    }.items():
        assert reported in write(cityscapes, arguments).refused("transkd-eval")
    message = write(cityscapes, "split=test").refused("transkd-eval", code=1)
    assert "transkd-eval format=cityscapes split=test writes what it takes" in message
    picture(cityscapes / "leftImg8bit/test/bonn/berlin_000000_000019_leftImg8bit.png", SMALL, 0)
    message = write(cityscapes, "split=test", "format=cityscapes").refused("transkd-eval", code=1)
    assert "1 names of images occur more than once" in message
    assert "berlin_000000_000019_labelIds.png" in message
