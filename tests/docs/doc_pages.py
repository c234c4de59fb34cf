"""The code blocks of README.md and docs/, with the HTML comments that are for the tests.

Before a block may stand, each on a line of its own:

``<!-- needs: gpu -->``
    its commands cannot run in a test, for one of the reasons in ``REASONS``; they are checked all the same.
    ``<!-- needs: gpu for trainer=ddp -->`` applies to the commands that contain this text only.
``<!-- given: … -->``
    what the block takes for granted: lines of its own language that are run before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SHELL = ("bash", "sh", "shell")
REASONS = ("gpu", "network", "slurm", "wandb", "docker", "tool", "hours", "checkout")
"""A GPU; something from the network; a SLURM cluster; a W&B account; a container; a program that pip does not install
with transkd; programs that take minutes to hours and cannot be cut short; what changes or makes the checkout itself."""
GENERATED = "<!-- Written by scripts/docs_"
FENCE = re.compile(r"^(?P<indent>\s*)(?P<ticks>`{3,})\s*(?P<language>[\w+-]*)[^`]*$")
COMMENT = re.compile(r"<!--\s*(needs|given):\s*(.*?)\s*-->", re.DOTALL)
INLINE = re.compile(r"(?<!`)`(transkd-[a-z]+ [^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Need:
    """Why commands cannot run: all of a block, or those that contain a text."""

    reason: str
    text: str = ""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    needs: tuple[Need, ...] = ()
    given: str = ""

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        """Return the file that the block is: its first line is a comment with the name."""
        named = re.match(r"# ([\w./-]+\.(?:py|yaml|yml|csv|txt|sh))\s*$", self.text.split("\n", 1)[0])
        return named[1] if named else None

    def need_of(self, command: str) -> str | None:
        """Return why a command of the block cannot run, or None."""
        return next((need.reason for need in self.needs if need.text in command), None)


def pages() -> list[str]:
    """Return README.md, CONTRIBUTING.md and the written pages of docs/, by their paths."""
    found = [TOP / "README.md", TOP / "CONTRIBUTING.md", *sorted((TOP / "docs").rglob("*.md"))]
    return [path.relative_to(TOP).as_posix() for path in found if not _is_generated(path)]


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    return list(_blocks(page, (TOP / page).read_text(encoding="utf-8")))


def inline_commands(page: str) -> list[str]:
    """Return the commands with arguments in a page's sentences and tables."""
    return INLINE.findall(_without_blocks((TOP / page).read_text(encoding="utf-8")))


def _is_generated(path: Path) -> bool:
    return path.read_text(encoding="utf-8").startswith(GENERATED)


def _blocks(page: str, text: str) -> Iterator[Block]:
    lines = text.splitlines()
    number = after = 0
    while number < len(lines):
        opening = FENCE.match(lines[number])
        if opening is None:
            number += 1
            continue
        end = next(n for n in range(number + 1, len(lines)) if lines[n].strip() == opening["ticks"])
        inside = [line.removeprefix(opening["indent"]) for line in lines[number + 1 : end]]
        needs, given = _comments("\n".join(lines[after:number]))
        yield Block(page, number + 1, opening["language"], "\n".join(inside), needs, given)
        number = after = end + 1


def _comments(before: str) -> tuple[tuple[Need, ...], str]:
    """Read the comments that stand right before a block, with nothing but blank lines between."""
    tail = re.search(r"(?:\s*<!--(?:(?!-->).)*-->)+\s*\Z", before, re.DOTALL)
    found = COMMENT.findall(tail[0]) if tail else []
    needs: list[Need] = []
    for kind, content in found:
        if kind == "needs":
            reasons, _, only = content.partition(" for ")
            needs += [Need(reason.strip(), only.strip()) for reason in reasons.split(",")]
    return tuple(needs), "\n".join(content for kind, content in found if kind == "given")


def _without_blocks(text: str) -> str:
    return re.sub(r"^\s*(`{3,}).*?^\s*\1\s*$", "", text, flags=re.MULTILINE | re.DOTALL)
