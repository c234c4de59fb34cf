"""A report's numbers for programs: ``report.json``, and a CSV with a line a method."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from typing import Any

from transkd.reporting.build import Report, Table
from transkd.reporting.rows import Row
from transkd.reporting.runs import Run
from transkd.reporting.student_t import Difference, Spread


def report_json(report: Report) -> str:
    """Return every number, scores as shares in [0, 1], null where there is none."""
    options = asdict(report.options)
    values = {
        "options": options,
        "notices": report.notices,
        "left_out": [{"folder": one.folder.as_posix(), "reason": one.reason} for one in report.left_out],
        "tables": [_table(table) for table in report.tables],
    }
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def table_csv(table: Table) -> str:
    """Return a line a method, scores as shares in [0, 1], empty where there is none."""
    lines = [_line(row) for row in table.rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _line(row: Row) -> dict[str, Any]:
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


def _table(table: Table) -> dict[str, Any]:
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
