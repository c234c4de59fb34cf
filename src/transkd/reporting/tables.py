"""A table of texts, and how it reads in Markdown, LaTeX and a terminal; ``report.html`` has its form on a page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from rich.table import Table

ABSENT = "–"
LATEX_NAMES = {"\\": "backslash", "~": "asciitilde", "^": "asciicircum", "<": "less", ">": "greater", "|": "bar"}
LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{sign: rf"\text{name}{{}}" for sign, name in LATEX_NAMES.items()},
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
}
T = TypeVar("T")


@dataclass(frozen=True)
class Column:
    """A column: its head, and whether it holds text, numbers (aligned right) or code (paths)."""

    head: str
    kind: Literal["text", "number", "code"] = "number"


@dataclass(frozen=True)
class TextTable:
    """A table whose cells are written out.

    Attributes:
        columns: heads and alignment.
        rows: a text for each column.
        emphasis: ``"gain"``, ``"loss"`` or ``""`` for each row, or nothing at all.
        groups: rows that follow each other in different groups have a rule between them, where the form has rules.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    emphasis: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    @classmethod
    def of(cls, columns: Mapping[Column, Callable[[T], str]], items: Iterable[T], **more: tuple[str, ...]) -> TextTable:
        """Return the table with a row for each item; the columns state the text that it has there."""
        return cls(tuple(columns), tuple(tuple(text(item) for text in columns.values()) for item in items), **more)

    def kind(self, index: int) -> str:
        """Return a column's kind; one of numbers that are all absent is text."""
        kind = self.columns[index].kind
        return "text" if kind == "number" and all(row[index] == ABSENT for row in self.rows) else kind


def markdown_table(table: TextTable) -> Iterator[str]:
    """Yield the lines of a Markdown table, and an empty one after it."""
    forms = [markdown_code if column.kind == "code" else markdown_text for column in table.columns]
    yield _line(markdown_text(column.head) for column in table.columns)
    yield _line("---:" if table.kind(index) == "number" else "---" for index in range(len(table.columns)))
    for row in table.rows:
        yield _line(form(text) for form, text in zip(forms, row, strict=True))
    yield ""


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in cells) + " |"


def markdown_text(text: str) -> str:
    """Escape what Markdown takes for emphasis or a tag, outside of code between backticks."""
    if text.count("`") % 2:
        text = text.replace("`", "'")  # one that nothing closes begins no code
    parts = text.split("`")
    for index in range(0, len(parts), 2):
        for sign in ("\\", "*", "<", "["):
            parts[index] = parts[index].replace(sign, f"\\{sign}")
    return "`".join(parts)


def markdown_code(text: str) -> str:
    """Return text as code, between two backticks where it has one itself."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def latex_table(table: TextTable, caption: str, label: str) -> str:
    """Return a floating table for the package booktabs."""
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_text(caption)}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{{''.join('r' if column.kind == 'number' else 'l' for column in table.columns)}}}",
        r"\toprule",
    ]
    for index, row in enumerate([tuple(column.head for column in table.columns), *table.rows]):
        if index == 1 or (index > 1 and table.groups[index - 1] != table.groups[index - 2]):
            lines.append(r"\midrule")
        lines.append(rf"{' & '.join(map(latex_text, row))} \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def latex_text(text: str) -> str:
    """Escape what LaTeX takes for commands."""
    return "".join(LATEX.get(sign, sign) for sign in text)


def terminal_table(table: TextTable, title: str, unbroken: Sequence[str] = ()) -> Table:
    """Return a table for the terminal, whose cells break between words only, not at all below ``unbroken`` heads."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=Text(title) if title else None, title_justify="left", box=SIMPLE_HEAD)
    for index, column in enumerate(table.columns):
        words = [word for text in (column.head, *(row[index] for row in table.rows)) for word in text.split()]
        justify: Literal["left", "right"] = "right" if column.kind == "number" else "left"
        longest, no_wrap = max(map(len, words), default=1), column.head in unbroken
        shown.add_column(column.head, justify=justify, overflow="fold", min_width=longest, no_wrap=no_wrap)
    for row in table.rows:
        shown.add_row(*map(Text, row))
    return shown
