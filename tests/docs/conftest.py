"""The scripts that make the documentation, and a folder in which its examples were run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "scripts"))

from docs_console import BLOCK, Console  # noqa: E402

ERRORS = TOP / "docs/reference/errors.md"


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Console:
    """Give a folder with synthetic scenes and a finished run, by the commands that errors.md begins with."""
    console = Console(tmp_path_factory.mktemp("workshop").resolve())
    block = BLOCK.search(ERRORS.read_text(encoding="utf-8"))
    assert block is not None
    for line in block[0].splitlines():
        assert console.run(line.removeprefix("$ ")).code == 0
    return console
