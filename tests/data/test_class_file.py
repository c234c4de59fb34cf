"""Class files as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from transkd.data.datasets.folder.class_file import ClassTable, read_class_table
from transkd.errors import ConfigError, DataError


def read(root: Path, text: str) -> ClassTable:
    (root / "classes.yaml").write_text(text)
    return read_class_table(root, None)


BLUE = (0, 0, 142)


@pytest.mark.parametrize(
    ("text", "ids", "colours", "ignored"),
    [
        ("- road\n- car\n", (0, 1), (None, None), None),
        ("[road, car]", (0, 1), (None, None), None),
        ("0: road\n1: car\n", (0, 1), (None, None), None),
        ("road: 0\ncar: 1\n", (0, 1), (None, None), None),
        ("- name: road\n- {name: car}\n", (0, 1), (None, None), None),
        ("road: [128, 64, 128]\ncar: '#00008E'\n", (0, 1), ((128, 64, 128), BLUE), None),
        ("road: {colour: [128, 64, 128]}\ncar: {color: [0, 0, 142]}\n", (0, 1), ((128, 64, 128), BLUE), None),
        ("- road: [128, 64, 128]\n- car: [0, 0, 142]\n", (0, 1), ((128, 64, 128), BLUE), None),
        ("- {name: road, id: 4, color: [1, 2, 3]}\n- name: car\n  id: 2\n", (4, 2), ((1, 2, 3), None), None),
        ("- road\n- car\n- ignore: [255]\n", (0, 1), (None, None), (255,)),
        ("road: 0\ncar: 1\nignore: 255\n", (0, 1), (None, None), (255,)),
        (
            "road: 0\ncar: {id: 255, colour: [0, 0, 142]}\nignore: [7, [0, 0, 0], '#ffffff']\n",
            (0, 255),
            (None, BLUE),
            (7, (0, 0, 0), (255, 255, 255)),
        ),
    ],
)
def test_classes_in_any_form(tmp_path: Path, text: str, ids: tuple, colours: tuple, ignored: tuple | None) -> None:
    table = read(tmp_path, text)
    assert (table.names, table.ids, table.colours, table.ignored) == (("road", "car"), ids, colours, ignored)
    lookup = table.reader("auto").lookup
    ignored_ids = [value for value in ignored or (255,) if isinstance(value, int)]
    assert [lookup[i] for i in (*ids, *ignored_ids, 99)] == [0, 1, *(255 for _ in ignored_ids), 254]
    classes = table.class_set()
    assert classes.names == ("road", "car")
    assert all(given in (None, shown) for given, shown in zip(colours, classes.palette, strict=True))
    assert len({*classes.palette, (0, 0, 0)}) == 3, "a class without a colour gets one that no other has"


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
        ("road: '#12345g'\n", "road: '#12345g' is not a colour"),
        ("road: 0\ncar: [1, 2, 3]\n", "some classes have an id and some do not"),
        ("road: 300\n", "the id 300 is not between 0 and 255"),
        ("road: 0\ncar: 0\n", "the id 0 occurs twice"),
        ("- road\n- car\nignore: [255]\n", "not readable YAML"),
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
