from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from transkd.data.synth import WriteReport, write_scenes
from transkd.errors import ConfigError, DataError

SIZE = (64, 96)


def write(root: Path, **changes: Any) -> WriteReport:
    return write_scenes(root, **{"train": 4, "val": 2, "seed": 7, "size": SIZE, "workers": 1, **changes})


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synth") / "deep" / "data"
    report = write(root)
    assert report.drawn == 6
    assert "drew 6 scenes" in str(report)
    return root


def test_layout_is_that_of_cityscapes(dataset: Path) -> None:
    images = sorted((dataset / "leftImg8bit").glob("*/*/*.png"))
    assert [path.parent.parent.name for path in images].count("train") == 4
    assert [path.parent.parent.name for path in images].count("val") == 2
    for path in images:
        split, city = path.parent.parent.name, path.parent.name
        assert re.fullmatch(rf"{city}_\d{{6}}_\d{{6}}_leftImg8bit\.png", path.name)
        stem = path.name.removesuffix("_leftImg8bit.png")
        labels = np.asarray(Image.open(dataset / "gtFine" / split / city / f"{stem}_gtFine_labelIds.png"))
        colours = Image.open(dataset / "gtFine" / split / city / f"{stem}_gtFine_color.png")
        picture = Image.open(path)
        assert labels.shape == SIZE
        assert labels.dtype == np.uint8
        assert picture.mode == colours.mode == "RGB"
        assert picture.size == colours.size == SIZE[::-1]
        assert np.asarray(colours)[labels == 23].reshape(-1, 3).tolist() in (
            [],
            [[70, 130, 180]] * (labels == 23).sum(),
        )


def test_train_and_val_share_neither_cities_nor_scenes(dataset: Path) -> None:
    cities = {split: {p.name for p in (dataset / "gtFine" / split).iterdir()} for split in ("train", "val")}
    assert not cities["train"] & cities["val"]
    images = [path.read_bytes() for path in (dataset / "leftImg8bit").rglob("*.png")]
    assert len(set(images)) == len(images) == 6


def test_any_number_of_workers_writes_the_same_files(dataset: Path, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    write(tmp_path, workers=2, progress=lambda done, total: steps.append((done, total)))
    assert contents(tmp_path) == contents(dataset)
    assert steps == [(i, 6) for i in range(1, 7)]


def test_a_scene_depends_on_the_seed_and_not_on_the_counts(dataset: Path, tmp_path: Path) -> None:
    write(tmp_path / "fewer", train=1, val=1, colour=False)
    smaller = contents(tmp_path / "fewer")
    del smaller["synth.json"]
    assert len(smaller) == 4
    assert smaller.items() <= contents(dataset).items()
    write(tmp_path / "other", seed=8, colour=False)
    first, second = contents(dataset), contents(tmp_path / "other")
    pngs = [name for name in second if name.endswith(".png")]
    assert len(pngs) == 12
    assert all(first[name] != second[name] for name in pngs)


class StoppedError(Exception):
    pass


def test_interrupted_run_is_noticed_and_completed(dataset: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        write(tmp_path, progress=stop)
    assert not (tmp_path / "synth.json").exists()
    with pytest.raises(DataError, match=r"holds other synthetic scenes \(train 4, val 2, seed 7.*overwrite"):
        write(tmp_path, seed=9)
    assert write(tmp_path).drawn == 3
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    report = write(tmp_path)
    assert str(report).endswith("already holds these 4 training and 2 validation scenes: nothing to do")
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert contents(tmp_path) == contents(dataset)


def test_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match=r"already holds other files \(thesis\.txt\): choose an empty folder"):
        write(tmp_path)
    assert contents(tmp_path) == {"thesis.txt": b"years of work"}


def test_overwrite_replaces_scenes_and_keeps_other_files(tmp_path: Path) -> None:
    write(tmp_path, train=5, val=1)
    real = tmp_path / "leftImg8bit" / "train" / "aachen" / "aachen_000000_000019_leftImg8bit.png"
    real.parent.mkdir()
    real.write_bytes(b"a real photograph")
    with pytest.raises(DataError, match=r"holds other synthetic scenes \(train 5, val 1, seed 7"):
        write(tmp_path, train=1, val=1)
    assert write(tmp_path, train=1, val=1, overwrite=True).drawn == 2
    assert len(list(tmp_path.rglob("*_labelIds.png"))) == 2
    assert real.read_bytes() == b"a real photograph"
    assert json.loads((tmp_path / "synth.json").read_text())["train"] == 1


def test_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file: name a folder"):
        write(tmp_path / "file")
    with pytest.raises(DataError, match="cannot write scenes to"):
        write(tmp_path / "file" / "below")


@pytest.mark.parametrize(
    "changes", [{"train": -1}, {"seed": -3}, {"workers": -2}, {"train": 0, "val": 0}, {"size": (32, 128)}]
)
def test_bad_arguments_are_refused_before_anything_is_written(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"must be at least 0|size: synthetic scenes are 64 to 4096"):
        write(tmp_path / "new", **changes)
    assert not (tmp_path / "new").exists()
