"""The page of errors says what the commands say: each message is produced again, or found in the source."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from produced_errors import ERRORS

from transkd.data.synth import write_scenes
from transkd.distillation import registry
from transkd.models import create_segmenter

TOP = Path(__file__).resolve().parents[2]
PAGE = TOP / "docs/troubleshooting.md"
SOURCE = TOP / "src/transkd"
PROJECT = "/path/to/project"
BLOCK = re.compile(r"<!-- (error|source|produced): (\S[^>]*?) -->\n```text\n(.*?)\n```", re.DOTALL)
HOLE = "\0"
ENOUGH = 40
"""Fixed characters of a message that have to stand in one place of the source."""


def blocks(kind: str) -> dict[str, str]:
    """Return the page's messages of a kind, by what is said of each."""
    return {name: text for found, name, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")) if found == kind}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project in which nothing is wrong: scenes, a folder of one's own, and two segmenters."""
    root = tmp_path_factory.mktemp("sound")
    write_scenes(root / "data/cityscapes", train=4, val=2, seed=0, size=(64, 128), workers=0, colour=False)
    rng = np.random.default_rng(0)
    for kind, shape, most in (("images", (64, 96, 3), 256), ("masks", (64, 96), 3)):
        (root / "data/roads" / kind).mkdir(parents=True)
        for number in range(4):
            picture = rng.integers(0, most, shape, dtype=np.uint8)
            Image.fromarray(picture).save(root / f"data/roads/{kind}/{number}.png")
    (root / "data/roads/classes.yaml").write_text("- road\n- car\n- sky\n")
    for name, classes in (("b0", 19), ("b0_11", 11)):
        create_segmenter("mit_b0", classes).save_pretrained(root / "models" / name)
    return root


@pytest.fixture
def project(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Copy that project, to be spoilt, and go there."""
    root = Path(shutil.copytree(sound, tmp_path / "project"))
    monkeypatch.chdir(root)
    ours = {name: loss for name, loss in registry._LOSSES.items() if loss.__module__.startswith("transkd.")}
    monkeypatch.setattr(registry, "_LOSSES", ours)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield root
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def test_the_page_has_all_that_is_produced() -> None:
    assert blocks("error").keys() == ERRORS.keys()
    assert len(ERRORS) > 40


def test_no_message_stands_on_the_page_unmarked() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("```text\n") == len(BLOCK.findall(text))


@pytest.mark.parametrize("name", ERRORS)
def test_the_message_is_what_is_said(name: str, project: Path) -> None:
    said = ERRORS[name]().replace(str(project), PROJECT)
    assert said.strip("\n") == blocks("error")[name]


def templates(file: str) -> list[str]:
    """Return the texts in the source's files of a name, with holes where values go."""
    found = []
    for path in SOURCE.rglob(file):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else HOLE for part in node.values]
                found.append("".join(map(str, parts)))
    return [text for text in found if len(text.replace(HOLE, "")) >= ENOUGH]


def is_said_in(file: str, message: str) -> bool:
    """Return whether a template of the source makes a part of the message."""
    patterns = (".*?".join(map(re.escape, template.split(HOLE))) for template in templates(file))
    return any(re.search(pattern, message, re.DOTALL) for pattern in patterns)


def test_messages_that_need_another_machine_stand_in_the_source() -> None:
    assert len(blocks("source")) > 0
    for file, message in blocks("source").items():
        assert is_said_in(file, message)
        assert not is_said_in(file, message.replace("lower data.batch_size", "raise data.batch_size"))
