"""Which files are read, and which are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from transkd.errors import ConfigError
from transkd.prediction.plan import VIDEO_SUFFIXES, Job, Source, find_sources, plan_outputs

PICTURES = (".png", ".jpg", ".jpeg")


def source(path: Path | str, top: Path | str = "in") -> Source:
    below = Path(path).relative_to(top)
    return Source(Path(path), below.with_suffix("").as_posix(), below.suffix in VIDEO_SUFFIXES)


def written(jobs: list[Job]) -> list[str]:
    return [str(path) for job in jobs for path in job.outputs.values()]


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


def test_what_exists_is_refused_kept_or_replaced(tmp_path: Path) -> None:
    sources = [source("in/a.jpg"), source("in/b.jpg")]
    (tmp_path / "ids").mkdir()
    (tmp_path / "ids/a.png").touch()
    with pytest.raises(ConfigError, match=r"1 of 4 outputs exist already, such as .*ids/a\.png: existing=skip"):
        plan_outputs(sources, tmp_path, ["ids", "overlay"], "error")
    kept = plan_outputs(sources, tmp_path, ["ids", "overlay"], "skip")
    assert [list(job.outputs) for job in kept] == [["overlay"], ["ids", "overlay"]]
    assert plan_outputs(sources[:1], tmp_path / "ids", ["ids"], "skip") == []
    assert len(written(plan_outputs(sources, tmp_path, ["ids", "overlay"], "overwrite"))) == 4


def test_inputs_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for existing in ("error", "skip", "overwrite"):
        with pytest.raises(ConfigError, match="is an input, which is never overwritten"):
            plan_outputs([source(tmp_path / "a.png", tmp_path)], tmp_path / "link", ["ids"], existing)  # type: ignore[arg-type]


def test_folders_of_frames_are_replaced_only_if_they_hold_nothing_else(tmp_path: Path) -> None:
    frames = tmp_path / "v.frames"
    frames.mkdir()
    assert plan_outputs([source("in/v.mp4")], tmp_path, ["ids"], "error")
    (frames / "000001.png").touch()
    with pytest.raises(ConfigError, match="outputs exist already"):
        plan_outputs([source("in/v.mp4")], tmp_path, ["ids"], "error")
    assert plan_outputs([source("in/v.mp4")], tmp_path, ["ids"], "overwrite")
    (frames / "thesis.txt").touch()
    with pytest.raises(ConfigError, match=r"holds more than frames, such as thesis\.txt"):
        plan_outputs([source("in/v.mp4")], tmp_path, ["ids"], "overwrite")


def test_folders_that_cannot_be_written_to_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file is not a folder that can be written to"):
        plan_outputs([source("in/a.jpg")], tmp_path / "file/deep", ["ids"], "error")
    (tmp_path / "a.png").mkdir()
    with pytest.raises(ConfigError, match="is a folder: move it"):
        plan_outputs([source("in/a.jpg")], tmp_path, ["ids"], "overwrite")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "photos"
    below = ("day/c.jpg", "day/deep/d.e.jpeg", "day/.hidden.png", ".x/y.png")
    for name in ("b.JPG", "a.png", "drive.MP4", "notes.md", *below):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).touch()
    return top


def names(text: object, **options: object) -> list[str]:
    return [source.name for source in find_sources(str(text), PICTURES, **options)[0]]  # type: ignore[arg-type]


def test_a_folder_gives_what_is_below_it_sorted(tree: Path) -> None:
    (tree / "day/again").symlink_to(tree)
    sources, others = find_sources(str(tree), PICTURES)
    assert [source.name for source in sources] == ["a", "b", "day/c", "day/deep/d.e", "drive"]
    assert [source.is_video for source in sources] == [False] * 4 + [True]
    assert others == 1


def test_outputs_below_the_folder_are_no_inputs(tree: Path) -> None:
    assert names(tree, leave_out=tree / "day/deep") == ["a", "b", "day/c", "drive"]
    assert names(tree / "**/*.jp*g", leave_out=tree / "day/deep") == ["day/c"]
    assert names(tree / "*.png", leave_out=tree) == ["a"]
    assert names(tree / "day", leave_out=tree) == ["c", "deep/d.e"]
    with pytest.raises(ConfigError, match="is the input folder"):
        names(tree, leave_out=tree / "day/..")


def test_files_and_patterns(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern keeps the folders after its fixed part; a file is taken whatever its name."""
    assert names(tree / "notes.md") == ["notes.md"]
    (tree / "scene[1].png").touch()
    assert names(tree / "scene[1].png") == ["scene[1]"]
    assert names(tree / "**/*.jp*g") == ["day/c", "day/deep/d.e"]
    monkeypatch.chdir(tree)
    assert names("d*/*.jpg") == ["day/c"]


def test_a_list_in_its_order_relative_to_itself_or_to_here(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "list.txt").write_text("\ufeffday/c.jpg\n\n# not this one\n  a.png  \ngone.png\n", encoding="utf-8")
    found = find_sources(str(tree / "list.txt"), PICTURES)[0]
    assert [source.name for source in found] == ["day/c", "a", "gone"]
    assert [source.path for source in found] == [tree / "day/c.jpg", tree / "a.png", tree / "gone.png"]
    (tree.parent / "lists").mkdir()
    (tree.parent / "lists/l.txt").write_text("photos/day/c.jpg\nphotos/day/deep/d.e.jpeg\n")
    monkeypatch.chdir(tree.parent)
    assert names("lists/l.txt") == ["c", "deep/d.e"]


def test_inputs_without_a_picture_are_refused(tree: Path) -> None:
    (tree / "docs").mkdir()
    (tree / "docs/x.pdf").touch()
    (tree / "none.txt").write_text("# nothing\n")
    (tree / "wrong.txt").write_text("x/1.png\nx/2.png\n")
    for text, message in {
        "missing.png": "there is no such file or folder",
        "*.bmp": "there is no picture and no video$",
        "docs": "there is no picture and no video, only 1 other files",
        "none.txt": "none of the 0 files that it lists exists; write a path a line",
        "wrong.txt": "none of the 2 files that it lists exists, such as .*x/1.png",
    }.items():
        with pytest.raises(ConfigError, match=message):
            find_sources(str(tree / text), PICTURES)
