"""The diagrams and the example of docs/concepts."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from transkd import create_segmenter
from transkd.evaluation.pictures import font

TOP = Path(__file__).resolve().parents[2]
IMAGES = TOP / "docs/images"
NAMES = ["csf", "ea", "gl_mixer", "pea", "protocol", "transkd"]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(TOP / "scripts")
    import draw_diagrams

    return draw_diagrams


def test_the_diagrams_in_docs_are_those_that_the_script_draws(drawing: ModuleType) -> None:
    assert sorted(drawing.DIAGRAMS) == NAMES
    for name, draw in drawing.DIAGRAMS.items():
        assert (IMAGES / f"{name}.svg").read_text(encoding="utf-8") == draw().svg(), (
            f"python scripts/draw_diagrams.py ({name})"
        )


@pytest.mark.parametrize("name", NAMES)
def test_a_diagram_stands_on_a_card_of_its_own_and_says_what_it_is(name: str) -> None:
    root = ElementTree.parse(IMAGES / f"{name}.svg").getroot()
    card = root.find(f"{SVG}rect")
    assert card is not None
    assert card.get("fill") == "#ffffff"
    assert [float(card.get(side, 0)) + 1 for side in ("width", "height")] == [
        float(root.get(s, 0)) for s in ("width", "height")
    ]
    title = root.find(f"{SVG}title")
    assert title is not None
    assert len(title.text or "") > 20
    assert not [text for text in root.iter(f"{SVG}text") if text.get("fill") not in ("#1a1a1a", "#555555")]


@pytest.mark.parametrize("name", NAMES)
def test_words_fit_their_boxes_and_the_diagram(name: str, drawing: ModuleType) -> None:
    diagram = drawing.DIAGRAMS[name]()
    assert len(diagram.boxes) > 3
    for box in diagram.boxes:
        assert 0 < box.x < box.x + box.width < diagram.width, box
        assert 0 < box.y < box.y + box.height < diagram.height, box
        assert all(font(13).getlength(line) <= box.width - 4 for line in box.lines), box
    for line, x, y, size, anchor in diagram.words:
        length = font(size).getlength(line)
        left = x - {"start": 0, "middle": length / 2, "end": length}[anchor]
        assert 4 <= left <= left + length <= diagram.width - 4, line
        assert y < diagram.height - 4, line


def test_channels_in_the_diagram_are_those_of_the_networks(drawing: ModuleType) -> None:
    assert create_segmenter("mit_b0", num_classes=2).channels == drawing.STUDENT
    assert create_segmenter("mit_b2", num_classes=2).channels == drawing.TEACHER


def test_the_example_prints_what_its_comments_say() -> None:
    page = (TOP / "docs/concepts/transkd.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(example, {})
    said = re.findall(r"# (\[\(.*\)\])$", example, re.MULTILINE)
    assert printed.getvalue().splitlines()[:2] == said
    assert len(said) == 2
