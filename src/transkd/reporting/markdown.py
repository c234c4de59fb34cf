"""A report as a Markdown page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from transkd.reporting import cells
from transkd.reporting import notes as facts
from transkd.reporting.build import Report, Table
from transkd.reporting.cells import Cells
from transkd.reporting.rows import Difference, Row, Spread
from transkd.runs.finished import Run

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


def report_json(report: Report) -> str:
    """Return every number, scores as shares in [0, 1], null where there is none."""
    options = asdict(report.options)
    values = {
        "options": options,
        "notices": report.notices,
        "left_out": [{"folder": one.folder.as_posix(), "reason": one.reason} for one in report.left_out],
        "tables": [_table_numbers(table) for table in report.tables],
    }
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def table_csv(table: Table) -> str:
    """Return a line a method, scores as shares in [0, 1], empty where there is none."""
    lines = [_row_numbers(row) for row in table.rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _row_numbers(row: Row) -> dict[str, Any]:
    return {
        "method": row.method.title,
        "kind": row.method.kind,
        "seeds": " ".join(map(str, row.method.seeds)),
        **_named("miou", _spread(row.miou)),
        **_named("gain", _gain(row.gain)),
        "gain_over": row.baseline.title if row.baseline else None,
        "gap_recovered": row.recovered,
        **_named("pixel_accuracy", _spread(row.pixel_accuracy)),
        **asdict(row.costs),
    }


def _named(name: str, values: dict[str, Any]) -> dict[str, Any]:
    return {name if key == "mean" else f"{name}_{key}": value for key, value in values.items()}


def _spread(value: Spread | None) -> dict[str, Any]:
    return {"mean": value.mean if value else None, "std": value.std if value else None}


def _gain(gain: Difference | None) -> dict[str, Any]:
    values = {key: getattr(gain, key, None) for key in ("mean", "low", "high", "how")}
    return values | {"verdict": gain.verdict if gain else None}


def _table_numbers(table: Table) -> dict[str, Any]:
    first = table.rows[-1].method.runs[0].results
    return {
        "title": table.title,
        "notes": table.notes,
        "protocol": first.protocol,
        "data": first.data.model_dump(exclude_none=True),
        "rows": [_row(row) for row in table.rows],
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "method": row.method.title,
        "kind": row.method.kind,
        "seeds": row.method.seeds,
        "miou": asdict(row.miou),
        "pixel_accuracy": asdict(row.pixel_accuracy) if row.pixel_accuracy else None,
        "gain": {**_gain(row.gain), "seeds": row.gain.seeds} if row.gain else None,
        "gain_over": row.baseline.title if row.baseline else None,
        "gap_recovered": row.recovered,
        "teachers": [run.folder.as_posix() for run in row.method.teachers],
        "per_class": row.per_class,
        "class_gains": row.class_gains,
        "costs": asdict(row.costs),
        "runs": [_run(run) for run in row.method.runs],
        "repeats": [run.folder.as_posix() for run in row.method.repeats],
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "folder": run.folder.as_posix(),
        "name": run.name,
        "seed": run.seed,
        "miou": run.miou,
        "command": run.results.command,
        "device": run.results.device,
    }
