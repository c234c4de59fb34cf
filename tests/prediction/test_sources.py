from __future__ import annotations

from pathlib import Path

import pytest

from transkd.errors import ConfigError
from transkd.prediction.sources import find_sources

PICTURES = (".png", ".jpg", ".jpeg")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "photos"
    for name in (
        "b.JPG",
        "a.png",
        "day/c.jpg",
        "day/deep/d.e.jpeg",
        "drive.MP4",
        "notes.md",
        "day/.hidden.png",
        ".x/y.png",
    ):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).touch()
    return top


def names(text: object, **options: object) -> list[str]:
    return [source.name for source in find_sources(str(text), PICTURES, **options).sources]  # type: ignore[arg-type]


def test_a_folder_gives_what_is_below_it_sorted(tree: Path) -> None:
    found = find_sources(str(tree), PICTURES)
    assert [source.name for source in found.sources] == ["a", "b", "day/c", "day/deep/d.e", "drive"]
    assert [source.is_video for source in found.sources] == [False] * 4 + [True]
    assert found.others == 1


def test_outputs_below_the_folder_are_no_inputs(tree: Path) -> None:
    assert names(tree, leave_out=tree / "day/deep") == ["a", "b", "day/c", "drive"]
    assert names(tree / "**/*.jp*g", leave_out=tree / "day/deep") == ["day/c"]
    assert names(tree / "*.png", leave_out=tree) == ["a"]
    assert names(tree / "day", leave_out=tree) == ["c", "deep/d.e"]
    with pytest.raises(ConfigError, match="is the input folder"):
        names(tree, leave_out=tree / "day/..")


def test_a_file_is_taken_whatever_its_name(tree: Path) -> None:
    assert names(tree / "a.png") == ["a"]
    assert names(tree / "notes.md") == ["notes.md"]
    (tree / "scene[1].png").touch()
    assert names(tree / "scene[1].png") == ["scene[1]"]


def test_a_pattern_keeps_the_folders_after_its_fixed_part(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names(tree / "**/*.jp*g") == ["day/c", "day/deep/d.e"]
    assert names(tree / "*") == ["a", "b", "drive"]
    monkeypatch.chdir(tree)
    assert names("d*/*.jpg") == ["day/c"]


def test_a_list_in_its_order_relative_to_itself_or_to_here(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "list.txt").write_text("\ufeffday/c.jpg\n\n# not this one\n  a.png  \ngone.png\n", encoding="utf-8")
    found = find_sources(str(tree / "list.txt"), PICTURES).sources
    assert [source.name for source in found] == ["day/c", "a", "gone"]
    assert [source.path for source in found] == [tree / "day/c.jpg", tree / "a.png", tree / "gone.png"]
    (tree.parent / "lists").mkdir()
    (tree.parent / "lists/l.txt").write_text("photos/day/c.jpg\nphotos/day/deep/d.e.jpeg\n")
    monkeypatch.chdir(tree.parent)
    assert names("lists/l.txt") == ["c", "deep/d.e"]


def test_a_list_with_lines_that_are_no_names_or_come_twice(tree: Path) -> None:
    (tree / "list.txt").write_bytes(b"a.png\r\n" + b"x" * 300 + b".png\r\na.png\r\n")
    assert [source.name for source in find_sources(str(tree / "list.txt"), PICTURES).sources] == ["a", "x" * 300]
    for text in ("x" * 300, "~nobody-of-that-name/x"):
        with pytest.raises(ConfigError, match="there is no such file or folder"):
            find_sources(text, PICTURES)


def test_nothing_there_is_said(tree: Path) -> None:
    (tree / "empty").mkdir()
    (tree / "docs").mkdir()
    (tree / "docs/x.pdf").touch()
    (tree / "none.txt").write_text("# nothing\n")
    (tree / "wrong.txt").write_text("x/1.png\nx/2.png\n")
    for text, message in {
        "missing.png": "there is no such file or folder",
        "*.bmp": r"matches no picture and no video",
        "empty": "holds no picture and no video$",
        "docs": "holds no picture and no video, only 1 other files",
        "none.txt": "lists no file",
        "wrong.txt": "none of the 2 files that it lists exists, such as .*x/1.png",
    }.items():
        with pytest.raises(ConfigError, match=message):
            find_sources(str(tree / text), PICTURES)


def test_folders_that_link_to_each_other_end(tree: Path) -> None:
    (tree / "day/again").symlink_to(tree)
    assert names(tree) == ["a", "b", "day/c", "day/deep/d.e", "drive"]
