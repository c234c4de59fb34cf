"""The recipes of docs/contributing.md, followed literally: files, code and commands as they stand there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from doc_commands import Line, fresh_modules, logical_lines, run_lines
from doc_pages import SHELL, TOP, Block, blocks

from transkd.data.datasets import available_datasets
from transkd.distillation import available_losses
from transkd.models.backbones import available_backbones
from transkd.models.heads import available_heads

PAGE = "docs/contributing.md"
TEXT = (TOP / PAGE).read_text(encoding="utf-8")
HEADINGS = {n: line for n, line in enumerate(TEXT.splitlines(), start=1) if line.startswith("## ")}
FIRST = "Before each recipe"
RECIPES = [heading.removeprefix("## ") for heading in HEADINGS.values() if heading.startswith("## Add ")]
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


def blocks_of(name: str) -> list[Block]:
    return [block for block in blocks(PAGE) if section(block) == name]


def follow(recipe: str, folder: Path) -> None:
    """Follow a recipe, in its order."""
    names: dict[str, object] = {"__name__": "recipe"}
    for block in [*blocks_of(FIRST), *blocks_of(recipe)]:
        if block.file is not None:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{block.text}\n", encoding="utf-8")
        elif block.language == "python":
            exec(compile(block.text, block.where, "exec"), names)
        elif block.language in SHELL:
            for answer in run_lines(map(Line, logical_lines(block.text)), folder):
                assert answer.code == 0, f"{block.where}: {answer}"


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_does_what_it_says(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    registered = [available_backbones(), available_heads(), available_losses(), available_datasets()]
    with fresh_modules(tmp_path):
        follow(recipe, tmp_path)
    assert [available_backbones(), available_heads(), available_losses(), available_datasets()] == registered
    file, key, value = LEFT_BEHIND[recipe]
    assert json.loads((tmp_path / file).read_text())[key] == value


def test_there_is_a_recipe_for_each_kind_of_part() -> None:
    assert LEFT_BEHIND.keys() == set(RECIPES)
    for recipe in RECIPES:
        kinds = [block.language for block in blocks_of(recipe)]
        assert any(kind in SHELL for kind in kinds)
        assert any(block.file is not None for block in blocks_of(recipe))
        assert "**In the package**" in TEXT.partition(f"## {recipe}\n")[2].partition("\n## ")[0]


def test_every_file_and_folder_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`((?:src|conf|tests)/[\w./-]+)`", TEXT))
    assert len(named) > 25
    assert not [name for name in named if not (TOP / name).exists()]


def test_files_named_beside_others_are_there() -> None:
    pairs = re.findall(r"`(src/[\w/]+/)\w+\.py`[^|.\n]*?[,(;] ?(?:then )?`(\w+\.py)`(?= beside it|\))", TEXT)
    beside = re.findall(r"`(\w+\.py)` beside it", TEXT)
    assert beside
    assert all(any((TOP / "src/transkd").rglob(name)) for name in beside)
    assert not [name for folder, name in pairs if not (TOP / folder / name).is_file()]
