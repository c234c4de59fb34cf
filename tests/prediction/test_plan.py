from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from transkd.errors import ConfigError
from transkd.prediction.outputs import whole, write_ids, write_pixels
from transkd.prediction.plan import Plan, plan_outputs
from transkd.prediction.sources import VIDEO_SUFFIXES, Source


def source(path: Path | str, top: Path | str = "in") -> Source:
    below = Path(path).relative_to(top)
    return Source(Path(path), below.with_suffix("").as_posix(), below.suffix in VIDEO_SUFFIXES)


def written(plan: Plan) -> list[str]:
    return [str(path) for job in plan.jobs for path in job.outputs.values()]


def test_one_kind_lies_in_the_folder_several_in_folders_of_their_own(tmp_path: Path) -> None:
    sources = [source("in/a.jpg"), source("in/day/v.avi")]
    out = tmp_path / "out"
    assert written(plan_outputs(sources, out, ["ids"], "error")) == [f"{out}/a.png", f"{out}/day/v.frames"]
    assert written(plan_outputs(sources, out, ["overlay", "confidence"], "error")) == [
        f"{out}/overlay/a.png",
        f"{out}/confidence/a.png",
        f"{out}/overlay/day/v.mp4",
        f"{out}/confidence/day/v.frames",
    ]
    assert not out.exists()


def test_a_single_output_may_be_named(tmp_path: Path) -> None:
    photo, video = [source("in/a.jpg")], [source("in/a.mov")]
    for sources, name, kind in ((photo, "x.jpg", "overlay"), (photo, "x.png", "ids"), (video, "x.mp4", "compare")):
        assert written(plan_outputs(sources, tmp_path / name, [kind], "error")) == [str(tmp_path / name)]
    for sources, name, kinds, message in (
        (photo, "x.jpg", ["ids"], r"ids of a picture is written as \.png"),
        (photo, "x.mp4", ["overlay"], r"overlay of a picture is written as \.jpeg or \.jpg or \.png"),
        (video, "x.avi", ["overlay"], r"overlay of a video is written as \.mp4"),
        (photo + video, "x.png", ["overlay"], "one file, for 2 inputs: give a folder"),
        (photo, "x.png", ["overlay", "ids"], "one file, for 2 kinds: give a folder"),
    ):
        with pytest.raises(ConfigError, match=message):
            plan_outputs(sources, tmp_path / name, kinds, "error")  # type: ignore[arg-type]


def test_two_inputs_of_one_output_are_both_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"in/a\.jpg and in/a\.png -> .*/a\.png"):
        plan_outputs([source("in/a.jpg"), source("in/b.jpg"), source("in/a.png")], tmp_path, ["ids"], "error")
    with pytest.raises(ConfigError, match=r"in/A\.jpg and in/a\.jpg"):
        plan_outputs([source("in/A.jpg"), source("in/a.jpg")], tmp_path, ["ids"], "error")
    many = [source(f"in/{number:02d}.{suffix}") for number in range(15) for suffix in ("jpg", "png")]
    with pytest.raises(ConfigError, match="and 5 more"):
        plan_outputs(many, tmp_path, ["ids"], "error")


def test_what_exists_is_refused_kept_or_replaced(tmp_path: Path) -> None:
    sources = [source("in/a.jpg"), source("in/b.jpg")]
    (tmp_path / "ids").mkdir()
    (tmp_path / "ids/a.png").touch()
    with pytest.raises(ConfigError, match=r"1 of 4 outputs exist already, such as .*ids/a\.png: existing=skip"):
        plan_outputs(sources, tmp_path, ["ids", "overlay"], "error")
    kept = plan_outputs(sources, tmp_path, ["ids", "overlay"], "skip")
    assert [list(job.outputs) for job in kept.jobs] == [["overlay"], ["ids", "overlay"]]
    assert plan_outputs(sources[:1], tmp_path / "ids", ["ids"], "skip").skipped == 1
    assert len(written(plan_outputs(sources, tmp_path, ["ids", "overlay"], "overwrite"))) == 4


def test_inputs_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for existing in ("error", "skip", "overwrite"):
        with pytest.raises(ConfigError, match="is an input, which is never overwritten"):
            plan_outputs([source(tmp_path / "a.png", tmp_path)], tmp_path / "link", ["ids"], existing)  # type: ignore[arg-type]


def test_skip_does_not_take_another_kind_for_what_was_asked(tmp_path: Path) -> None:
    write_pixels(np.zeros((4, 4, 3), np.uint8), "overlay", tmp_path / "a.png")
    with pytest.raises(ConfigError, match=r"a\.png is of kind overlay, not ids"):
        plan_outputs([source("in/a.jpg")], tmp_path, ["ids"], "skip")
    write_ids(np.zeros((4, 4), np.uint8), [(1, 2, 3)], tmp_path / "a.png")
    assert plan_outputs([source("in/a.jpg")], tmp_path, ["ids"], "skip").skipped == 1


def test_folders_of_frames_are_replaced_only_if_they_hold_nothing_else(tmp_path: Path) -> None:
    frames = tmp_path / "v.frames"
    frames.mkdir()
    assert plan_outputs([source("in/v.mp4")], tmp_path, ["ids"], "error").jobs
    (frames / "000001.png").touch()
    with pytest.raises(ConfigError, match="outputs exist already"):
        plan_outputs([source("in/v.mp4")], tmp_path, ["ids"], "error")
    assert plan_outputs([source("in/v.mp4")], tmp_path, ["ids"], "overwrite").jobs
    (frames / "thesis.txt").touch()
    with pytest.raises(ConfigError, match=r"holds more than frames, such as thesis\.txt"):
        plan_outputs([source("in/v.mp4")], tmp_path, ["ids"], "overwrite")


def test_places_that_cannot_be_written_to_are_found_out_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file, not a folder"):
        plan_outputs([source("in/a.jpg")], tmp_path / "file/deep", ["ids"], "error")
    (tmp_path / "a.png").mkdir()
    with pytest.raises(ConfigError, match="is a folder: move it"):
        plan_outputs([source("in/a.jpg")], tmp_path, ["ids"], "overwrite")


def half_written(path: Path) -> None:
    with whole(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt


def test_files_are_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep/x.png"
    with pytest.raises(KeyboardInterrupt):
        half_written(path)
    assert list(path.parent.iterdir()) == []
    with whole(path) as partial:
        partial.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]
    folder = tmp_path / "v.frames"
    folder.mkdir()
    (folder / "000009.png").touch()
    with whole(folder) as partial:
        partial.mkdir()
        (partial / "000001.png").touch()
    assert [entry.name for entry in folder.iterdir()] == ["000001.png"]
