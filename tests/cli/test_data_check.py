"""``transkd-data action=check``."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from command_runs import Command
from PIL import Image


@pytest.fixture
def check(run: Command) -> Command:
    """Call ``transkd-data action=check`` in this process, without further ones."""
    return partial(run, "action=check", "workers=0", name="transkd-data")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of ten scenes of two classes, the left half of each road, the right half car."""
    rng = np.random.default_rng(0)
    root = tmp_path / "own"
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for i in range(10):
        label = np.zeros((48, 64), np.uint8)
        label[:, 32:] = 1
        Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(root / f"images/{i}.png")
        Image.fromarray(label).save(root / f"masks/{i}.png")
    (root / "classes.yaml").write_text("road: [128, 64, 128]\ncar: [0, 0, 142]\n")
    return root


def test_a_sound_dataset(check: Command, own: Path, tmp_path: Path) -> None:
    outcome = check("data=folder", f"data.root={own}")
    assert outcome.code == 0, outcome.err
    assert "no problems found" in outcome.out
    weight = 1 / math.log(1.52)
    assert f"erfnet weights of train: objective.class_weights=[{weight:.4g},{weight:.4g}]" in outcome.out
    report = json.loads((tmp_path / "checks/folder.json").read_text())
    assert {name: split["scenes"] for name, split in report["splits"].items()} == {"train": 8, "val": 2}
    assert report["splits"]["train"]["pixels"] == {"road": 8 * 48 * 32, "car": 8 * 48 * 32}
    assert report["class_weights"]["median_frequency"] == [1, 1]
    assert report["problems"] == []


def test_the_contact_sheet_shows_labels_in_their_colours(check: Command, own: Path, tmp_path: Path) -> None:
    check("data=folder", f"data.root={own}", "pictures=4")
    sheet = np.asarray(Image.open(tmp_path / "checks/folder.png"))
    for colour in ((128, 64, 128), (0, 0, 142)):
        assert (sheet == colour).all(2).sum() > 4 * 100 * 100
    check("data=folder", f"data.root={own}", "pictures=0", "output=bare")
    assert (tmp_path / "bare.json").is_file()
    assert not (tmp_path / "bare.png").exists()


def test_problems_end_with_code_1_and_are_all_written(check: Command, own: Path, tmp_path: Path) -> None:
    for i in range(7):
        (own / f"masks/{i}.png").write_bytes(b"broken")
    for i in range(7, 10):
        Image.new("L", (64, 48), 9).save(own / f"masks/{i}.png")
    outcome = check("data=folder", f"data.root={own}")
    message = outcome.refused("transkd-data", code=1)
    assert "10 problems in folder" in message
    assert "checks/folder.json" in message
    assert "unreadable labels: 7" in outcome.out
    assert outcome.out.count("cannot read this label") == 5
    assert "and 2 more" in outcome.out
    report = json.loads((tmp_path / "checks/folder.json").read_text())
    assert sorted(Path(p["file"]).name for p in report["problems"]) == [f"{i}.png" for i in range(10)]
    unknown = {name: split["unknown_ids"] for name, split in report["splits"].items() if split["unknown_ids"]}
    assert sum(ids["9"] for ids in unknown.values()) == 3
    for name, ids in unknown.items():
        assert f"{name}, of {report['splits'][name]['scenes']} labels: 9 in {ids['9']}" in outcome.out


def test_nothing_is_overwritten_unless_told(check: Command, own: Path, tmp_path: Path) -> None:
    arguments = ["data=folder", f"data.root={own}"]
    for _ in range(3):
        check(*arguments)
    assert sorted(path.name for path in (tmp_path / "checks").glob("*.json")) == [
        "folder-2.json",
        "folder-3.json",
        "folder.json",
    ]
    (tmp_path / "mine.json").write_text("mine")
    assert "mine.json exists already" in check(*arguments, "output=mine.json").refused("transkd-data")
    assert (tmp_path / "mine.json").read_text() == "mine"
    assert check(*arguments, "output=mine.json", "overwrite=true").code == 0
    assert json.loads((tmp_path / "mine.json").read_text())["dataset"] == "folder"


def test_one_split(check: Command, scenes: Path) -> None:
    outcome = check("data=synthetic", f"data.root={scenes}", "split=val")
    assert outcome.code == 0, outcome.err
    assert "erfnet weights of val" in outcome.out
    assert "no split 'vall'" in check("data=synthetic", f"data.root={scenes}", "split=vall").out


def test_a_root_or_an_output_that_cannot_be_used(check: Command, own: Path) -> None:
    assert "nowhere does not exist" in check("data=camvid", "data.root=nowhere").refused("transkd-data", code=1)
    output = "output=own/classes.yaml/x/out.json"
    message = check("data=folder", f"data.root={own}", output).refused("transkd-data", code=1)
    assert "cannot write own/classes.yaml/x/out.json (Not a directory): choose another output=…" in message


def test_images_turned_by_exif_are_reported_and_drawn(check: Command, own: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("RGB", (64, 48), (90, 91, 92)).save(own / "images/9.png", exif=exif)
    (own / "train.txt").write_text("".join(f"{i}\n" for i in range(10)))
    text = " ".join(check("data=folder", f"data.root={own}", "pictures=1").out.split())
    assert "1 images of train are turned or mirrored by their EXIF orientation" in text
    sheet = np.asarray(Image.open(tmp_path / "checks/folder.png"))
    assert (sheet == (90, 91, 92)).all(2).sum() > 1000, "the turned one is in the sheet"


def test_names_with_brackets_are_printed_as_they_are(check: Command, own: Path) -> None:
    """Square brackets style the screen's text, and some of them end in an error there."""
    (own / "classes.yaml").write_text("- '[/x]'\n- '[red]y'\n")
    for kind in ("images", "masks"):
        (own / kind / "0.png").rename(own / kind / "[b].png")
    text = check("data=folder", f"data.root={own}").out
    assert "[/x]" in text
    assert "[red]y" in text
