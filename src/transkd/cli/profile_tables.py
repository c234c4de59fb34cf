"""The tables that ``transkd-profile`` prints: what all rows share stands in the title."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from transkd.cli.profile_adapters import AdapterRow
from transkd.evaluation.cost import Macs
from transkd.profiling import Row, Settings

COUNTS = ("GMAC", "without\nattention", "as\npublished")
NOTHING = "–"
UNBOUNDED = 1000
LEAST_NAME = 12
"""Columns that a name keeps however narrow the terminal is."""
SETTINGS: dict[str, Callable[[Row], str]] = {
    "size": lambda row: "x".join(map(str, row.case.size)),
    "batch": lambda row: str(row.case.batch),
    "precision": lambda row: row.case.precision,
    "back end": lambda row: row.case.backend,
}


def cost_table(rows: Sequence[Row], settings: Settings, *, counts: int = len(COUNTS)) -> Table:
    """Return the table of parameters, counts, memory and latency, a line a row.

    Args:
        rows: what was measured.
        settings: how.
        counts: how many of the ways to count multiply-accumulates have a column.
    """
    shared = {name: get(rows[0]) for name, get in SETTINGS.items() if len({get(row) for row in rows}) == 1}
    columns = {"model": lambda row: row.case.model}
    columns |= {name: get for name, get in SETTINGS.items() if name not in shared}
    columns |= {"parameters\nM": lambda row: _millions(row.parameters)}
    columns |= {name: _count(number, lambda row: row.macs) for number, name in enumerate(COUNTS[:counts])}
    columns |= {name: get for name, get in _MEASURED.items() if any(get(row) != NOTHING for row in rows)}
    where = f"{settings.device}, {settings.threads} threads" if settings.device == "cpu" else settings.device
    runs = f"; median and p95 of {settings.runs} passes in turns" if settings.latency else ""
    title = ", ".join([*(f"{name} {value}" for name, value in shared.items()), where]) + runs
    return _table(title, columns, rows)


def adapter_table(rows: Sequence[AdapterRow], *, counts: int = len(COUNTS)) -> Table:
    """Return the table of what students cost with their adapters, which leave them after training."""
    columns: dict[str, Callable[[Any], str]] = {
        "student + adapters": lambda row: row.title,
        "size": lambda row: "x".join(map(str, row.size)),
        "adapters\nM": lambda row: _millions(None if row.adapters is None else row.adapters.parameters),
        "parameters\nM": lambda row: _millions(row.parameters_with_adapters),
    }
    columns |= {name: _count(number, lambda row: row.macs_with_adapters) for number, name in enumerate(COUNTS[:counts])}
    return _table(f"While {rows[0].teacher} teaches (the adapters leave with the losses)", columns, rows)


def print_fitting(console: Console, table_of: Callable[[int], Table]) -> None:
    """Print a table in the room there is: where names would be squeezed out, with one count of three.

    Args:
        console: where to.
        table_of: makes it with a number of counts.
    """
    table = table_of(len(COUNTS))
    if Measurement.get(console, console.options.update(width=UNBOUNDED), table).maximum > console.width:
        table = table_of(1)
        table.caption = "GMAC with attention; the other two counts: a wider terminal, or output=FILE"
        table.caption_justify = "left"
    console.print(table)


def _table(title: str, columns: dict[str, Callable[[Any], str]], rows: Sequence[Any]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left", overflow="fold", no_wrap=number > 0)
    table.columns[0].min_width = LEAST_NAME
    for row in rows:
        cells = [get(row) for get in columns.values()]
        table.add_row(*cells, style="red" if row.problem else None)
    return table


def _count(number: int, macs_of: Callable[[Any], Macs | None]) -> Callable[[Any], str]:
    def shown(row: Any) -> str:
        macs = macs_of(row)
        if macs is None:
            return NOTHING
        return f"{(macs.with_attention, macs.without_attention, macs.as_published)[number] / 1e9:.2f}"

    return shown


def _millions(number: int | None) -> str:
    return NOTHING if number is None else f"{number / 1e6:.2f}"


def _fixed(number: float | None, digits: int) -> str:
    return NOTHING if number is None else f"{number:.{digits}f}"


_MEASURED: dict[str, Callable[[Row], str]] = {
    "peak\nMB": lambda row: _fixed(row.peak_mb, 0),
    "median\nms": lambda row: _fixed(row.median_ms, 1),
    "p95\nms": lambda row: _fixed(row.p95_ms, 1),
    "images\n/s": lambda row: _fixed(row.images_per_second, 2),
    "first pass\ns": lambda row: _fixed(row.first_pass_s, 1),
}
