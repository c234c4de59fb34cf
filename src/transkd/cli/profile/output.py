"""What ``transkd-profile`` prints: tables of costs, of what students cost with their adapters, and JSON."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from transkd.cli.profile.config import ProfileConfig
from transkd.evaluation.cost import Macs
from transkd.profiling import Row, Settings
from transkd.runs.command import command_line
from transkd.training.preflight import AdapterCost

WIDE = 200
"""Columns of a table that goes to a file, which nothing folds."""
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


def millions(number: int | None) -> str:
    """Return a number in 10^6."""
    return NOTHING if number is None else f"{number / 1e6:.2f}"


def fixed(number: float | None, digits: int) -> str:
    """Return a number with a fixed number of digits."""
    return NOTHING if number is None else f"{number:.{digits}f}"


MEASURED: dict[str, Callable[[Row], str]] = {
    "peak\nMB": lambda row: fixed(row.peak_mb, 0),
    "median\nms": lambda row: fixed(row.median_ms, 1),
    "p95\nms": lambda row: fixed(row.p95_ms, 1),
    "images\n/s": lambda row: fixed(row.images_per_second, 2),
    "first pass\ns": lambda row: fixed(row.first_pass_s, 1),
}


@dataclass(frozen=True)
class AdapterRow:
    """One student with the adapters of one method.

    Attributes:
        student: the student's name, as the user wrote it.
        teacher: the teacher's.
        method: a method of ``conf/distillation``, or a registered loss.
        size: height and width in pixels.
        parameters: of the student alone.
        macs: of the student alone.
        adapters: what the adapters add.
        problem: why they could not be counted.
    """

    student: str
    teacher: str
    method: str
    size: tuple[int, int]
    parameters: int = 0
    macs: Macs | None = None
    adapters: AdapterCost | None = None
    problem: str | None = None

    @property
    def title(self) -> str:
        """The row's name in messages."""
        return f"{self.student} + {self.method}"

    @property
    def parameters_with_adapters(self) -> int | None:
        """Parameters of student and adapters."""
        return None if self.adapters is None else self.parameters + self.adapters.parameters

    @property
    def macs_with_adapters(self) -> Macs | None:
        """Multiply-accumulates of student and adapters."""
        return None if self.adapters is None or self.macs is None else self.macs + self.adapters.macs

    def as_json(self) -> dict[str, Any]:
        """Return the row in plain containers."""
        return {
            "student": self.student,
            "teacher": self.teacher,
            "distillation": self.method,
            "size": list(self.size),
            "adapter_parameters": None if self.adapters is None else self.adapters.parameters,
            "parameters_with_adapters": self.parameters_with_adapters,
            "adapter_gmacs": self.adapters and self.adapters.macs.in_giga(),
            "gmacs_with_adapters": self.macs_with_adapters and self.macs_with_adapters.in_giga(),
            "problem": self.problem,
        }


def print_tables(rows: list[Row], adapters: list[AdapterRow], settings: Settings, path: Path | None) -> None:
    """Print what was measured, what failed and why, and where the JSON was written."""
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console.width = WIDE
    print_fitting(console, lambda counts: cost_table(rows, settings, counts=counts))
    if adapters:
        print_fitting(console, lambda counts: adapter_table(adapters, counts=counts))
    everything: list[Row | AdapterRow] = [*rows, *adapters]
    for row in everything:
        if row.problem is not None:
            console.print(f"{row.title}: {row.problem}", highlight=False, soft_wrap=True, markup=False)
    if path is not None:
        console.print(f"written to {path}", highlight=False, soft_wrap=True)


def as_json(rows: list[Row], adapters: list[AdapterRow], config: ProfileConfig, settings: Settings) -> dict[str, Any]:
    """Return the profile in plain containers."""
    gpu = settings.device == "cuda"
    return {
        "command": command_line(),
        "device": torch.cuda.get_device_name() if gpu else f"cpu ({platform.machine()})",
        "threads": settings.threads,
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in ("transkd", "torch", "timm")},
        "warm_up": settings.warm_up,
        "runs": settings.runs,
        "num_classes": config.num_classes,
        "rows": [row.as_json() for row in rows],
        "adapters": [row.as_json() for row in adapters],
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
    columns |= {"parameters\nM": lambda row: millions(row.parameters)}
    columns |= {name: count_column(number, lambda row: row.macs) for number, name in enumerate(COUNTS[:counts])}
    columns |= {name: get for name, get in MEASURED.items() if any(get(row) != NOTHING for row in rows)}
    where = f"{settings.device}, {settings.threads} threads" if settings.device == "cpu" else settings.device
    runs = f"; median and p95 of {settings.runs} passes in turns" if settings.latency else ""
    title = ", ".join([*(f"{name} {value}" for name, value in shared.items()), where]) + runs
    return plain_table(title, columns, rows)


def adapter_table(rows: Sequence[AdapterRow], *, counts: int = len(COUNTS)) -> Table:
    """Return the table of what students cost with their adapters, which leave them after training."""
    columns: dict[str, Callable[[Any], str]] = {
        "student + adapters": lambda row: row.title,
        "size": lambda row: "x".join(map(str, row.size)),
        "adapters\nM": lambda row: millions(None if row.adapters is None else row.adapters.parameters),
        "parameters\nM": lambda row: millions(row.parameters_with_adapters),
    }
    columns |= {
        name: count_column(number, lambda row: row.macs_with_adapters) for number, name in enumerate(COUNTS[:counts])
    }
    return plain_table(f"While {rows[0].teacher} teaches (the adapters leave with the losses)", columns, rows)


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


def plain_table(title: str, columns: dict[str, Callable[[Any], str]], rows: Sequence[Any]) -> Table:
    """Return a table of rows by columns, those with a problem in red."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left", overflow="fold", no_wrap=number > 0)
    table.columns[0].min_width = LEAST_NAME
    for row in rows:
        cells = [get(row) for get in columns.values()]
        table.add_row(*cells, style="red" if row.problem else None)
    return table


def count_column(number: int, macs_of: Callable[[Any], Macs | None]) -> Callable[[Any], str]:
    """Return the column of one of the three counts."""

    def shown(row: Any) -> str:
        macs = macs_of(row)
        if macs is None:
            return NOTHING
        return f"{(macs.with_attention, macs.without_attention, macs.as_published)[number] / 1e9:.2f}"

    return shown
