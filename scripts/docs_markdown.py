"""Small pieces of Markdown that the generated pages share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# What reads as code in a comment: key=value, {...}, --flags, paths, names with a dot or an underscore inside.
CODE = re.compile(
    r"(?<![`\w.])(?:"
    r"[+~]*[A-Za-z_][\w./]*=(?:\[[^\]]*\]|\{[^}]*\}|[^\s,;:)]+)"
    r"|\{[^}]*\}"
    r"|--[a-z-]+"
    r"|[A-Za-z_]\w*(?:\.\w+)*(?:/[\w.*-]*)+"
    r"|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\.[A-Za-z_]\w{2,}"
    r"|[*A-Za-z]*_\w+"
    r")"
)
QUOTED = re.compile(r"(`[^`]*`)")


def prose(text: str) -> str:
    """Return a comment as Markdown: what is code in it as code, what would be markup escaped."""
    parts = QUOTED.split(text)
    return "".join(part if part.startswith("`") else _prose(part) for part in parts)


def _prose(text: str) -> str:
    pieces: list[str] = []
    end = 0
    for found in CODE.finditer(text):
        word = found[0].rstrip(".")
        pieces += [_escaped(text[end : found.start()]), f"`{word}`"]
        end = found.start() + len(word)
    return "".join([*pieces, _escaped(text[end:])])


def _escaped(text: str) -> str:
    return re.sub(r"([*_$\[\]])", r"\\\1", text).replace("<", "&lt;")


def code(text: str) -> str:
    """Return text as inline code; nothing for nothing."""
    return f"`{text}`" if text else ""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a bar in a cell is written so that it ends no cell."""
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    lines += [
        "| " + " | ".join(cell.replace("|", "&#124;" if "`" not in cell else "\\|") for cell in row) + " |"
        for row in rows
    ]
    return "\n".join(lines)


def fenced(text: str, language: str = "") -> str:
    """Return text as a block of code."""
    return f"```{language}\n{text.rstrip()}\n```"
