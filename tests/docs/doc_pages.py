"""The pages of README.md and docs/: their fenced blocks, the files that they show and the commands that they name."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
GENERATED = "<!-- Written by scripts/docs_"
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)\n\1```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w./-]+\.(?:py|yaml|yml|csv|txt|sh))\s*\n")
INLINE = re.compile(r"(?<!`)`(transkd-[a-z]+ [^`\n]+)`(?!`)")
COMMAND = re.compile(r"transkd-[a-z]+\b(?!/).*")
ASSIGNMENT = re.compile(r"\s*(?:export )?(\w+)=(\"[^\"]*\"|\S*)$")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        """Return the file that the block is: its first line is a comment with the name."""
        named = FILE.match(self.text)
        return named[1] if named else None


def pages() -> list[str]:
    """Return README.md, CONTRIBUTING.md and the written pages of docs/, by their paths."""
    found = [TOP / "README.md", TOP / "CONTRIBUTING.md", *sorted((TOP / "docs").rglob("*.md"))]
    return [path.relative_to(TOP).as_posix() for path in found if not _text(path).startswith(GENERATED)]


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    text = _text(TOP / page)
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[2], re.sub(f"^{found[1]}", "", found[3], flags=re.M))
        for found in BLOCK.finditer(text)
    ]


def inline_commands(page: str) -> list[str]:
    """Return the commands with arguments in a page's sentences and tables."""
    return INLINE.findall(BLOCK.sub("", _text(TOP / page)))


def commands(block: Block) -> Iterator[str]:
    """Yield the commands of transkd in a block, continued lines joined, its shell variables filled in."""
    variables: dict[str, str] = {}
    for line in re.sub(r"\\\n\s*", " ", block.text).splitlines():
        if assigned := ASSIGNMENT.match(line):
            variables[assigned[1]] = assigned[2].strip('"')
        elif found := COMMAND.search(re.sub(r"(^|\s+)#.*", "", re.sub(r'eval "\$\((.*)\)"', r"\1", line))):
            command = re.split(r" \| | > | &$", found[0])[0]
            yield re.sub(r"\$\{?(\w+)\}?", lambda name: variables.get(name[1], name[0]), command)


def write_file(block: Block, folder: Path) -> None:
    """Write the file that a block is, below a folder."""
    assert block.file is not None
    path = folder / block.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{block.text}\n", encoding="utf-8")


@contextmanager
def modules_of(folder: Path) -> Iterator[None]:
    """Import from a folder, which is the current one, and forget afterwards what its modules registered."""
    from transkd.data import datasets
    from transkd.distillation import registry as losses
    from transkd.models import backbones, heads

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        for module, name in ((losses, "_LOSSES"), (backbones, "_BACKBONES"), (heads, "_HEADS"), (datasets, "_LAYOUTS")):
            patch.setattr(module, name, dict(getattr(module, name)))
        before = set(sys.modules)
        yield
        for name in set(sys.modules) - before:
            if (getattr(sys.modules[name], "__file__", None) or "").startswith((str(folder), ".")):
                del sys.modules[name]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
