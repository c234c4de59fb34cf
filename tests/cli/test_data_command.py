"""``transkd-data``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from command_runs import Command, Outcome

from transkd.data import CITYSCAPES, build_dataset

SMALL = ["root=scenes", "train=3", "val=1", "size=[64,96]", "workers=0"]


@pytest.fixture
def data(run: Command) -> Command:
    """Call ``transkd-data``."""
    return partial(run, name="transkd-data")


def test_synth_draws_what_the_cityscapes_loader_reads(data: Command, tmp_path: Path) -> None:
    outcome: Outcome = data("action=synth", *SMALL)
    assert outcome.code == 0, outcome.err
    assert "drew 4 scenes" in outcome.out
    train, val = (build_dataset("cityscapes", tmp_path / "scenes", split) for split in ("train", "val"))
    assert (len(train), len(val)) == (3, 1)
    assert tuple(train[0]["image"].shape) == (3, 64, 96)
    classes = set(train[0]["label"].unique().tolist())
    assert len(classes - {255}) > 2
    assert classes <= {*range(CITYSCAPES.num_classes), 255}


def test_a_rerun_does_nothing(data: Command, tmp_path: Path) -> None:
    data(*SMALL)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    outcome = data(*SMALL)
    assert outcome.code == 0
    assert "nothing to do" in outcome.out
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_other_scenes_are_not_overwritten_unasked(data: Command) -> None:
    data(*SMALL)
    message = data(*SMALL, "seed=1").refused("transkd-data", code=1)
    assert "holds other synthetic scenes" in message
    assert "overwrite=true" in message
    assert "drew 4 scenes" in data(*SMALL, "seed=1", "overwrite=true").out


def test_every_mistake_is_told_at_once(data: Command, tmp_path: Path) -> None:
    outcome = data("action=draw", "size=[10,20]", "train=-1", "val=some", "rot=x", "+colours=2", "overwrite=perhaps")
    outcome.refused("transkd-data")
    assert sorted(outcome.lines) == [
        "action: there is no such choice; known: synth (it is 'draw')",
        "colours: there is no such key; known: action, overwrite, root, seed, size, train, val, workers",
        "overwrite: give true or false (it is 'perhaps')",
        "rot: there is no such key; did you mean 'root'?",
        "size: give [height, width] in pixels, 64 to 4096 each ([128, 256]) (it is [10, 20])",
        "train: give 0 or more (it is -1)",
        "val: give a whole number (it is 'some')",
    ]
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_draw_is_a_mistake(data: Command) -> None:
    assert "nothing to draw" in data("root=scenes", "train=0", "val=0").refused("transkd-data")


@pytest.mark.parametrize("root", ["/proc/scenes", "photos"])
def test_a_folder_that_cannot_be_used_is_named(data: Command, tmp_path: Path, root: str) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").touch()
    assert root in data(f"root={root}", *SMALL[1:]).refused("transkd-data", code=1)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.jpg", "photos"]
