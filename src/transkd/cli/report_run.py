"""What ``transkd-report`` does."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from transkd.cli.report_config import ReportConfig
from transkd.errors import ConfigError
from transkd.reporting import Report, build_report, report_files
from transkd.reporting.cells import scores
from transkd.reporting.files import JSON, PAGE

WIDE = 200
"""Columns of a table that goes to a file, which nothing folds."""
OURS = ("report.*", "table*.csv", "table*.tex")
PLOTS = ("gains", "curves", "miou-gmac", "miou-latency", "classes")


def run_report(config: ReportConfig, console: Console | None = None) -> None:
    """Collect runs, print what they say, and write the report's folder.

    Raises:
        ConfigError: nothing to report, runs that do not compare, or an output that would be overwritten.
    """
    console = console or Console(width=None if sys.stdout.isatty() else WIDE)
    folder = Path(config.output).expanduser()
    _refuse_overwriting(folder, overwrite=config.overwrite)
    report = build_report(config.options())
    files = report_files(report)
    _write(folder, files)
    _print(report, console)
    console.print(f"report   {folder / PAGE}", highlight=False, soft_wrap=True)


def _refuse_overwriting(folder: Path, *, overwrite: bool) -> None:
    if folder.is_file():
        raise ConfigError(f"output={folder} is a file; give a folder")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / JSON).is_file():
        raise ConfigError(f"output={folder} is not empty and holds no report: choose another folder")
    if not overwrite:
        raise ConfigError(f"output={folder} holds a report already: choose another folder, or overwrite=true")


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """Write all files, and remove those of an earlier report that are no longer among them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in _earlier(folder):
            if path.name not in files:
                path.unlink()
        for name, content in files.items():
            partial = folder / f".{name}.partial"
            partial.write_bytes(content)
            partial.replace(folder / name)
    except OSError as error:
        raise ConfigError(f"output={folder} cannot be written ({error.strerror}): choose another folder") from error


def _earlier(folder: Path) -> Iterable[Path]:
    plots = [f"{name}*.{kind}" for name in PLOTS for kind in ("svg", "png")]
    return [path for pattern in (*OURS, *plots) for path in folder.glob(pattern) if path.is_file()]


def _print(report: Report, console: Console) -> None:
    for table in report.tables:
        content = scores(table.rows, report.options.confidence)
        grid = Grid(title=table.title or None, title_justify="left", box=SIMPLE_HEAD)
        for place, head in enumerate(content.heads[:-1]):
            grid.add_column(head, justify="right" if place and head != "reading" else "left", overflow="fold")
        for row in content.rows:
            grid.add_row(*map(Text, row[:-1]))
        console.print(grid)
        for note in table.notes:
            console.print(f"- {note}", highlight=False, markup=False)
    for notice in report.notices:
        console.print(f"- {notice}", highlight=False, markup=False)
    for one in report.left_out:
        console.print(f"left out {one.folder}: {one.reason}", highlight=False, markup=False)
