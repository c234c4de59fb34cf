"""A report as a Markdown page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from transkd.reporting import cells, facts
from transkd.reporting.build import Report, Table
from transkd.reporting.cells import Cells

TITLE = "Report"


def markdown(report: Report, plots: Mapping[int, Mapping[str, str]]) -> str:
    """Return the page.

    Args:
        report: what it says.
        plots: number of a table -> title of a plot -> file beside the page.
    """
    lines = [f"# {TITLE}", ""]
    if report.options.command:
        lines += ["```bash", report.options.command, "```", ""]
    lines += [f"- {_inline(notice)}" for notice in report.notices] + [""] * bool(report.notices)
    for place, table in enumerate(report.tables):
        lines += _table(table, plots.get(place, {}), report.options.confidence)
    if report.left_out:
        lines += ["## Left out", "", *_grid(facts.left_out_cells(report.left_out))]
    return "\n".join(lines).rstrip() + "\n"


def summary(report: Report) -> str:
    """Return the tables of scores and gains with their notes, without costs, plots, classes and commands."""
    lines = [f"- {_inline(notice)}" for notice in report.notices] + [""] * bool(report.notices)
    for table in report.tables:
        lines += [f"## {_inline(table.title)}", ""] if table.title else []
        lines += [*_grid(cells.scores(table.rows, report.options.confidence)), *_notes(table), ""]
    return "\n".join(lines).rstrip() + "\n"


def _table(table: Table, plots: Mapping[str, str], confidence: float) -> Iterator[str]:
    yield from (f"## {_inline(table.title or 'Scores')}", "")
    yield from _grid(cells.scores(table.rows, confidence))
    yield from _notes(table)
    yield from ("", "### Costs", "")
    yield from _grid(cells.costs(table.rows))
    for title, file in plots.items():
        yield from (f"### {title}", "", f"![{title}]({file})", "")
    yield from ("### IoU of each class, %", "")
    yield from _grid(cells.classes(table.rows))
    yield from ("### How it was made", "")
    for name, text in facts.made_by(table.runs).items():
        yield f"- {name}: {_code(text)}" if name in facts.LITERAL else f"- {name}: {_inline(text)}"
    yield ""
    runs = facts.run_cells(table.rows)
    yield from _grid(Cells(runs.heads, tuple((*row[:-1], _code(row[-1])) for row in runs.rows)))
    for name, command in facts.commands(table.rows):
        yield f"- {_inline(name)}: {_code(command)}".replace("\n", " ")
    yield ""


def _notes(table: Table) -> Iterator[str]:
    return (f"- {_inline(note)}" for note in table.notes)


def _grid(table: Cells) -> Iterator[str]:
    yield _line(table.heads)
    yield _line(["---"] + ["---:" if _is_numeric(table, place) else "---" for place in range(1, len(table.heads))])
    for row in table.rows:
        yield _line([_cell(text) for text in row])
    yield ""


def _is_numeric(table: Cells, column: int) -> bool:
    return any(row[column][:1].isdigit() or row[column][:1] in "+−" for row in table.rows)


def _line(texts: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(texts)} |"


def _cell(text: str) -> str:
    escaped = text if text.startswith("`") else _inline(text)
    return escaped.replace("|", "\\|").replace("\n", " ")


def _code(text: str) -> str:
    """Return text as code, between two backticks where it has one itself."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _inline(text: str) -> str:
    """Escape what Markdown would take for emphasis or a tag, outside of code."""
    if text.count("`") % 2:
        text = text.replace("`", "'")  # one that nothing closes begins no code
    parts = text.split("`")
    for place in range(0, len(parts), 2):
        for sign in ("\\", "*", "<", "["):
            parts[place] = parts[place].replace(sign, f"\\{sign}")
    return "`".join(parts)
