"""Class files as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from transkd.data.datasets.folder.class_file import ClassTable, read_class_table
from transkd.errors import ConfigError, DataError


def read(root: Path, text: str) -> ClassTable:
    (root / "classes.yaml").write_text(text)
    return read_class_table(root, None)


@pytest.mark.parametrize(
    "text",
    [
        "- road\n- car\n",
        "[road, car]",
        "0: road\n1: car\n",
        "road: 0\ncar: 1\n",
        "- name: road\n- {name: car}\n",
    ],
)
def test_names_in_any_form(tmp_path: Path, text: str) -> None:
    table = read(tmp_path, text)
    assert (table.names, table.ids, table.colours) == (("road", "car"), (0, 1), (None, None))
    assert table.default_ignore
    classes = table.class_set()
    assert classes.names == ("road", "car")
    assert len({*classes.palette, (0, 0, 0)}) == 3


@pytest.mark.parametrize(
    "text",
    [
        "road: [128, 64, 128]\ncar: '#00008E'\n",
        "road: {colour: [128, 64, 128]}\ncar: {color: [0, 0, 142]}\n",
        "- road: [128, 64, 128]\n- car: [0, 0, 142]\n",
    ],
)
def test_colours_in_any_form(tmp_path: Path, text: str) -> None:
    table = read(tmp_path, text)
    assert table.colours == ((128, 64, 128), (0, 0, 142))
    assert table.class_set().palette == ((128, 64, 128), (0, 0, 142))


def test_ids_and_what_is_ignored(tmp_path: Path) -> None:
    table = read(tmp_path, "background: 0\nperson: {id: 255, colour: [9, 9, 9]}\nignore: [7, [0, 0, 0], '#ffffff']\n")
    assert table.ids == (0, 255)
    assert (table.ignored_ids, table.ignored_colours) == ((7,), ((0, 0, 0), (255, 255, 255)))
    lookup = table.reader("auto").lookup
    assert (lookup[0], lookup[255], lookup[7]) == (0, 1, 255)
    assert not table.default_ignore


@pytest.mark.parametrize("text", ["- a\n- b\n- ignore: [255]\n", "a: 0\nb: 1\nignore: 255\n"])
def test_ignoring_in_any_form(tmp_path: Path, text: str) -> None:
    table = read(tmp_path, text)
    assert (table.names, table.ignored_ids, table.default_ignore) == (("a", "b"), (255,), False)


def test_classes_as_entries_with_names(tmp_path: Path) -> None:
    entries = "- {name: road, id: 4, color: [1, 2, 3]}\n- name: car\n  id: 2\n  colour: '#040506'  # 804080\n"
    table = read(tmp_path, entries)
    assert (table.names, table.ids, table.colours) == (("road", "car"), (4, 2), ((1, 2, 3), (4, 5, 6)))
    assert [table.reader("ids").lookup[i] for i in (4, 2, 255)] == [0, 1, 255]


def test_a_class_without_a_colour_gets_one_of_its_own(tmp_path: Path) -> None:
    palette = read(tmp_path, "- a: [128, 0, 0]\n- b\n- c\n").class_set().palette
    assert palette[0] == (128, 0, 0)
    assert len({*palette, (0, 0, 0)}) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there are 0 classes"),
        ("road\ncar\nsky\n", "'road car sky' has no id or colour"),
        ("- road\n- no\n", "False is not the name of a class; write it in quotes"),
        ("road: #804080\ncar: #00008e\n", "'road' has no id or colour .YAML reads # as a comment: write '#804080'"),
        ("- road\n- car\n- ignore\n", "'ignore' would be a class that is learned"),
        ("road: 0\ncar: 1\nignore_index: 255\n", "'ignore_index' would be a class that is learned"),
        ("road: [1, 2, 3]\nignore: [9, 8, 7]\n", r"are three ids; the colour is written \[\[9, 8, 7\]\]"),
        ("- road\n- road\n", "the name road occurs twice"),
        ("road: [0, 0, 0]\ncar: [0, 0, 0]\n", r"the colour \[0, 0, 0\] occurs twice"),
        ("road: [0, 0, 300]\n", r"road: \[0, 0, 300\] is not a colour"),
        ("road: [0, 0]\n", r"road: \[0, 0\] is not a colour"),
        ("road: '#12345g'\n", "road: '#12345g' is not a colour"),
        ("road: 0\ncar: [1, 2, 3]\n", "some classes have an id and some do not"),
        ("road: 300\n", "the id 300 is not between 0 and 255"),
        ("road: 0\ncar: 0\n", "the id 0 occurs twice"),
        ("- road\n- car\nignore: [255]\n", "not readable YAML"),
        ("road: [1, 2\n", "not readable YAML"),
        ("road: 1\nroad: 2\n", "not readable YAML.*duplicate"),
        ("a: 1\nignore: nothing\n", "ignore: 'nothing' is not a colour"),
    ],
)
def test_mistakes_name_the_file_and_say_how_to_write_it(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "classes.yaml"))
    assert "Write ROOT/classes.yaml, a line a class" in str(caught.value)


def test_classes_from_the_config(tmp_path: Path) -> None:
    assert read_class_table(tmp_path, ["road", "car"]).names == ("road", "car")
    assert read_class_table(tmp_path, {"road": [1, 2, 3]}).colours == ((1, 2, 3),)
    assert read_class_table(tmp_path, {"0": "road", "1": "car"}).names == ("road", "car")
    (tmp_path / "mine.yaml").write_text("- x\n")
    assert read_class_table(tmp_path, "mine.yaml").names == ("x",)
    assert read_class_table(tmp_path / "elsewhere", str(tmp_path / "mine.yaml")).names == ("x",)
    with pytest.raises(ConfigError, match=r"data\.options\.classes: the name a occurs twice"):
        read_class_table(tmp_path, ["a", "a"])
    with pytest.raises(DataError, match=r"data\.options\.classes=other\.yaml: there is no such file"):
        read_class_table(tmp_path, "other.yaml")
