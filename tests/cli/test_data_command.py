"""``transkd-data``."""

from __future__ import annotations

import os
import shlex
import signal
import time
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from command_runs import Command, Outcome
from dataset_archives import SCENES, archives_of, tar_of, voc_files
from file_server import Server
from scipy.io import savemat

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


def test_a_rerun_does_nothing_and_other_scenes_are_not_overwritten_unasked(data: Command, tmp_path: Path) -> None:
    data(*SMALL)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert "nothing to do" in data(*SMALL).out
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    message = data(*SMALL, "seed=1").refused("transkd-data", code=1)
    assert "holds other synthetic scenes" in message
    assert "overwrite=true" in message
    assert "drew 4 scenes" in data(*SMALL, "seed=1", "overwrite=true").out


def test_nothing_to_draw_and_a_folder_that_cannot_be_used(data: Command, tmp_path: Path) -> None:
    assert "nothing to draw" in data("root=scenes", "train=0", "val=0").refused("transkd-data")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").touch()
    for root in ("/proc/scenes", "photos"):
        assert root in data(f"root={root}", *SMALL[1:]).refused("transkd-data", code=1)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.jpg", "photos"]


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        ("action=check", ["data: is missing; known: acdc, camvid, cityscapes, folder, nyuv2, synthetic, voc2012"]),
        ("action=check data=foldr", ["data=foldr: there is no such choice; did you mean 'folder'?"]),
        (
            "action=check data=camvid train=5 pictures=x data.nam=x",
            [
                "data.nam: there is no such key; did you mean 'data.name'?",
                "pictures: give a whole number (it is 'x')",
                "train: there is no such key; known: action, data, imports, output, overwrite, pictures, split, "
                "workers",
            ],
        ),
        ("action=nyuv2", ["mapping: is missing", "mat: is missing", "splits: is missing"]),
        (
            "action=synth size=[10,20] train=-1 rot=x",
            [
                "rot: there is no such key; did you mean 'root'?",
                "size: give [height, width] in pixels, 64 to 4096 each ([128, 256]) (it is [10, 20])",
                "train: give 0 or more (it is -1)",
            ],
        ),
        ("data=camvid", ["data=camvid: there is no choice of data here: what else is chosen does not take it"]),
    ],
)
def test_the_mistakes_of_each_action(data: Command, arguments: str, lines: list[str]) -> None:
    outcome = data(*arguments.split())
    outcome.refused("transkd-data")
    assert sorted(outcome.lines) == lines


def test_the_legend(data: Command) -> None:
    outcome = data("action=classes", "data=voc2012")
    assert outcome.code == 0
    rows = [[cell.strip() for cell in line.strip("│┃").split("│")] for line in outcome.out.splitlines() if "│" in line]
    assert rows[0] == ["0", "background", "0, 0, 0"]
    assert rows[15] == ["15", "person", "192, 128, 128"]
    assert rows[21] == ["255", "ignored", ""]


def test_nyuv2_is_written_and_read(data: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "nyu.mat", "w") as file:
        file["images"] = rng.integers(0, 256, (3, 3, 64, 48), dtype=np.uint8)
        file["labels"] = rng.integers(0, 10, (3, 64, 48), dtype=np.uint16)
    savemat(tmp_path / "map.mat", {"mapClass": np.arange(1, 41)})
    savemat(tmp_path / "splits.mat", {"trainNdxs": [[1], [3]], "testNdxs": [[2]]})
    arguments = ["action=nyuv2", "mat=nyu.mat", "mapping=map.mat", "splits=splits.mat", "root=nyu"]
    outcome = data(*arguments)
    assert outcome.code == 0, outcome.err
    assert "wrote 3 scenes" in outcome.out
    assert "nothing to do" in data(*arguments).out
    assert len(build_dataset("nyuv2", tmp_path / "nyu", "train")) == 2
    assert "there is no file" in data(*arguments[:3], "splits=none.mat", "root=nyu").refused("transkd-data", code=1)


@pytest.mark.parametrize("dataset", ["voc2012", "camvid", "nyuv2"])
def test_a_dataset_is_downloaded_and_passes_the_check(data: Command, tmp_path: Path, dataset: str) -> None:
    (tmp_path / "sources").mkdir()
    archives = archives_of(dataset, tmp_path / "sources")
    with Server() as served:
        served.files = {f"/mirror/{name}": content for name, content in archives.items()}
        arguments = ["action=download", f"data={dataset}", "data.root=a set", f"url={served.url}/mirror/"]
        assert "published" in (refused := data(*arguments).refused("transkd-data", code=1))
        assert "checksum=false" in refused
        outcome = data(*arguments, "checksum=false")
        assert outcome.code == 0, outcome.err
        counts = ", ".join(f"{count} {split}" for split, count in SCENES[dataset].items())
        assert f"{counts} scenes" in outcome.out
        follow = shlex.split(outcome.out.splitlines()[-1].removeprefix("next: transkd-data "))
        assert "nothing to do" in data(*arguments, "checksum=false").out
    checked = data(*follow, "workers=0", "pictures=0")
    assert checked.code == 0, checked.err
    assert "no problems found" in checked.out


@pytest.mark.parametrize(
    ("arguments", "code", "reported"),
    [
        (["data=cityscapes"], 2, "https://www.cityscapes-dataset.com (free registration)"),
        (["data=voc2012", "data.root=photos"], 1, "holds other files (a.jpg)"),
    ],
)
def test_what_is_not_downloaded(data: Command, tmp_path: Path, arguments: list[str], code: int, reported: str) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").touch()
    assert reported in data("action=download", *arguments).refused("transkd-data", code=code)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.jpg", "photos"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_download_that_is_stopped_is_resumed(data: Command, tmp_path: Path, number: signal.Signals) -> None:
    content = tar_of(voc_files() | {"VOCdevkit/large.bin": bytes(20_000_000)})

    def stop() -> None:
        os.kill(os.getpid(), number)
        time.sleep(0.3)

    with Server() as served:
        served.files["/voc.tar"] = content
        served.midway = stop
        arguments = ["action=download", "data=voc2012", "data.root=set", f"url={served.url}/voc.tar", "checksum=false"]
        outcome = data(*arguments)
        assert outcome.code == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
        assert outcome.err == "transkd-data: stopped; what was downloaded is kept, and the same command resumes it\n"
        assert [path.name for path in (tmp_path / "set").iterdir()] == [".download"]
        kept = (tmp_path / "set/.download/VOCtrainval_11-May-2012.tar.part").stat().st_size
        assert 0 < kept < len(content)
        assert data(*arguments).code == 0
        assert served.ranges_asked == [None, f"bytes={kept}-"]
    assert (tmp_path / "set/VOCdevkit/large.bin").stat().st_size == 20_000_000
