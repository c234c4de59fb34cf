"""The recipes of docs/contributing.md, followed literally: files, code and commands as they stand there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from doc_pages import TOP, Block, blocks, commands, modules_of, write_file
from docs_console import Console

PAGE = "docs/contributing.md"
TEXT = (TOP / PAGE).read_text(encoding="utf-8")
HEADINGS = {n: line for n, line in enumerate(TEXT.splitlines(), start=1) if line.startswith("## ")}
LEFT_BEHIND = {
    "Add a backbone": ("runs/plain/student/config.json", "backbone", "plain"),
    "Add a head": ("runs/sum/model/config.json", "head", "sum"),
    "Add a dataset": ("runs/tiles/model/config.json", "class_names", ["ground", "water", "building"]),
    "Add a distillation loss": ("runs/direction/results.json", "losses", {"direction": 0.5}),
    "Add a protocol": ("scored_at_half/scores.json", "miou", pytest.approx(0.5, abs=0.5)),
}
"""What a recipe has made when it is done: a file, a key of it and its value."""


def section(block: Block) -> str:
    return next(HEADINGS[n] for n in sorted(HEADINGS, reverse=True) if n < block.line).removeprefix("## ")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", LEFT_BEHIND)
def test_a_recipe_does_what_it_says(recipe: str, tmp_path: Path) -> None:
    names: dict[str, object] = {"__name__": "recipe"}
    with modules_of(tmp_path):
        for block in blocks(PAGE):
            if section(block) not in ("Before each recipe", recipe):
                continue
            if block.file is not None:
                write_file(block, tmp_path)
            elif block.language == "python":
                exec(compile(block.text, block.where, "exec"), names)
            elif block.language == "bash":
                for command in commands(block):
                    answer = Console(tmp_path).run(command)
                    assert answer.code == 0, f"{block.where}: {answer}"
    file, key, value = LEFT_BEHIND[recipe]
    assert json.loads((tmp_path / file).read_text())[key] == value


def test_there_is_a_recipe_for_each_kind_of_part() -> None:
    assert {heading.removeprefix("## ") for heading in HEADINGS.values() if "Add a" in heading} == LEFT_BEHIND.keys()


def test_every_file_and_folder_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`((?:src|conf|tests)/[\w./-]+)`", TEXT))
    assert len(named) > 25
    assert not [name for name in named if not (TOP / name).exists()]
    beside = re.findall(r"`(\w+\.py)` beside it", TEXT)
    assert beside
    assert all(any((TOP / "src/transkd").rglob(name)) for name in beside)
