"""Every message on the page of errors is one that the source can raise or print."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
TEXT = (TOP / "docs/troubleshooting.md").read_text(encoding="utf-8")
MARKED = re.compile(r"<!-- (error|source|produced): (\S[^>]*?) -->\n```text\n(.*?)\n```", re.DOTALL)
OURS = [(name, text) for kind, name, text in MARKED.findall(TEXT) if kind != "produced"]
"""The others are messages of other programs, produced by hand."""
HOLE = "\0"
ENOUGH = 16
"""Fixed characters that a template needs to tell one message from another."""


@lru_cache(maxsize=1)
def templates() -> list[re.Pattern[str]]:
    """Return the texts of the source as patterns, with holes where values go."""
    found: set[str] = set()
    for path in (TOP / "src/transkd").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else HOLE for part in node.values]
                found.add("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    long = (text.strip() for text in found if len(text.replace(HOLE, "").strip()) >= ENOUGH)
    return [re.compile(".*?".join(map(re.escape, text.split(HOLE))), re.DOTALL) for text in long]


@pytest.mark.parametrize(("name", "message"), OURS)
def test_the_source_has_the_message(name: str, message: str) -> None:
    assert any(pattern.search(message) for pattern in templates()), name


def test_every_message_is_marked() -> None:
    assert TEXT.count("```text\n") == len(MARKED.findall(TEXT)) > 40
