"""The diagrams and the example of docs/concepts."""

from __future__ import annotations

import contextlib
import io
import re

from doc_pages import TOP, blocks

from transkd import create_segmenter
from transkd.evaluation.pictures import font


def test_the_diagrams_are_those_that_the_script_draws_and_words_fit() -> None:
    import draw_diagrams

    for name, draw in draw_diagrams.DIAGRAMS.items():
        diagram = draw()
        assert (TOP / f"docs/images/{name}.svg").read_text(encoding="utf-8") == diagram.svg(), name
        for box in diagram.boxes:
            assert 0 < box.x < box.x + box.width < diagram.width, box
            assert all(font(13).getlength(line) <= box.width - 4 for line in box.lines), box
    assert create_segmenter("mit_b0", num_classes=2).channels == draw_diagrams.STUDENT
    assert create_segmenter("mit_b2", num_classes=2).channels == draw_diagrams.TEACHER


def test_the_example_prints_what_its_comments_say() -> None:
    (example,) = [block.text for block in blocks("docs/concepts/transkd.md") if block.language == "python"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(example, {})
    expected = re.findall(r"# (\[\(.*\)\])$", example, re.MULTILINE)
    assert printed.getvalue().splitlines()[:2] == expected
    assert len(expected) == 2
