"""The table of jobs and fates that a sweep ends with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from transkd.cli.sweep_jobs import WELL, Fate, Job

COLOURS: dict[Fate, str] = {"done": "green", "done before": "green", "failed": "red", "stopped": "yellow"}
WIDE = 160
"""Columns of a table that goes to a file, so that its folders are not folded."""


def print_jobs(folder: Path, jobs: Sequence[Job], console: Console) -> None:
    """Print a sweep's jobs, a row each, and how many did not go well.

    Args:
        folder: the sweep's.
        jobs: one or more.
        console: to print on.
    """
    facts = list(dict.fromkeys(name for job in jobs for name in job.facts))
    console.print(f"\nthe sweep's folder: {_from_here(str(folder))}", highlight=False, markup=False, soft_wrap=True)
    table = Table(title="the sweep's jobs", title_justify="left")
    for head in ("job", "settings", "fate", *facts, "minutes", "where"):
        table.add_column(head, overflow="fold")
    for job in jobs:
        cells = [_shown(job.facts.get(name)) for name in facts]
        minutes = f"{job.seconds / 60:.1f}" if job.seconds else ""
        told = _from_here(job.folder) if job.fate in WELL else _first_line(job.message)
        fate = Text(job.fate, style=COLOURS.get(job.fate, "yellow"))
        table.add_row(str(job.number + 1), Text("\n".join(job.overrides)), fate, *cells, minutes, Text(told))
    console.print(table)
    if bad := sum(job.fate not in WELL for job in jobs):
        console.print(
            f"{bad} of {len(jobs)} jobs did not finish; the same command does only what is missing",
            highlight=False,
            soft_wrap=True,
        )


def _shown(value: object) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def _from_here(folder: str) -> str:
    path = Path(folder)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else folder


def _first_line(message: str) -> str:
    lines: Sequence[str] = message.splitlines() or [""]
    heading = lines[0]
    return f"{heading} {lines[1].strip()}" if heading.endswith(":") and len(lines) > 1 else heading
