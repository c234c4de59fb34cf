"""What ``transkd-report`` does."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from transkd.cli.progress import working
from transkd.cli.report_config import ReportConfig
from transkd.errors import ConfigError
from transkd.reporting import Report, build_report, report_files
from transkd.reporting.cells import scores
from transkd.reporting.files import JSON, PAGE
from transkd.runs.folder import at_home, exists, is_file, is_folder

WIDE = 200
"""Columns of a table that goes to a file, which nothing folds."""
FRAME, EDGES = 3, 2
"""Signs around a cell and around a line."""
SCORES = (2,)
"""Columns that are easier to read unbroken."""
OURS = re.compile(
    r"report\.(html|md|json)|table(-\d+)?\.(csv|tex)|(gains|curves|miou-gmac|miou-latency|classes)(-\d+)?\.(svg|png)"
)


def run_report(config: ReportConfig, console: Console | None = None) -> None:
    """Collect runs, print what they say, and write the report's folder.

    Raises:
        ConfigError: nothing to report, runs that do not compare, or an output that would be overwritten.
    """
    console = console or Console(width=None if sys.stdout.isatty() else WIDE)
    folder = at_home(config.output)
    _refuse_overwriting(folder, overwrite=config.overwrite)
    with working("reading runs"):
        report = build_report(config.options())
    with working("drawing plots and writing pages"):
        files = report_files(report)
    _write(folder, files)
    print_report(report, console)
    console.print(f"report   {folder / PAGE}", highlight=False, soft_wrap=True)


def _refuse_overwriting(folder: Path, *, overwrite: bool) -> None:
    if exists(folder) and not is_folder(folder):
        raise ConfigError(f"output={folder} is a file; give a folder")
    try:
        if not exists(folder) or not any(folder.iterdir()):
            return
    except OSError as error:
        raise _unwritable(folder, error) from error
    if not is_file(folder / JSON):
        raise ConfigError(f"output={folder} is not empty and holds no report: choose another folder")
    if not overwrite:
        raise ConfigError(f"output={folder} holds a report already: choose another folder, or overwrite=true")


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """Write all files, then let them take the place of an earlier report's and remove those that it had beside them."""
    partial = {name: folder / f".{name}.partial" for name in files}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            partial[name].write_bytes(content)
        for name in files:
            partial[name].replace(folder / name)
        for path in folder.iterdir():
            if OURS.fullmatch(path.name) and path.name not in files:
                path.unlink()
    except OSError as error:
        for path in partial.values():
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(f"output={folder} cannot be written ({error.strerror}): choose another folder")


def print_report(report: Report, console: Console) -> None:
    """Print the tables of scores, their notes, and what was left out, in the room that the console has."""
    for table in report.tables:
        content = scores(table.rows, report.options.confidence)
        grid = Grid(title=Text(table.title) if table.title else None, title_justify="left", box=SIMPLE_HEAD)
        columns = list(zip(content.heads, *content.rows, strict=True))[:-1]
        for place, (column, width) in enumerate(zip(columns, _widths(columns, console.width), strict=True)):
            side: Literal["left", "right"] = "right" if place and column[0] != "reading" else "left"
            grid.add_column(column[0], justify=side, overflow="fold", width=width)
        for row in content.rows:
            grid.add_row(*map(Text, row[:-1]))
        console.print(grid)
        for note in table.notes:
            _print_note(note, console)
    for notice in report.notices:
        _print_note(notice, console)
    for one in report.left_out:
        console.print(f"left out {one.folder}: {one.reason}", highlight=False, markup=False)


def _widths(columns: Sequence[Sequence[str]], room: int) -> list[int]:
    """Return the columns' widths: what they need, or whole words, and of the room that is left scores before names."""
    widths = [max(len(word) for text in column for word in text.split()) for column in columns]
    spare = room - FRAME * len(columns) - EDGES - sum(widths)
    for place in (*SCORES, *(place for place in range(len(columns)) if place not in SCORES)):
        more = max(0, min(spare, max(map(len, columns[place])) - widths[place]))
        widths[place] += more
        spare -= more
    return widths


def _print_note(text: str, console: Console) -> None:
    """Print a sentence behind a dash, its further lines below its first."""
    grid = Grid.grid()
    grid.add_row("- ", Text(text))
    console.print(grid)
