"""What ``transkd-report`` does."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from transkd.cli.progress import working
from transkd.cli.report_config import ReportConfig
from transkd.errors import ConfigError
from transkd.reporting import Report, build_report, report_files
from transkd.reporting.columns import score_table
from transkd.reporting.files import JSON, PAGE
from transkd.reporting.tables import terminal_table
from transkd.runs.folder import at_home, exists, is_file, is_folder

WIDE = 200
"""Columns of a table that goes to a file, which nothing folds."""
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
        content = score_table(table.rows, report.options.confidence, scores=())
        console.print(terminal_table(content, table.title, console.width, unbroken=("mIoU, %",)))
        for note in table.notes:
            _print_note(note, console)
    for notice in report.notices:
        _print_note(notice, console)
    for one in report.left_out:
        console.print(f"left out {one.folder}: {one.reason}", highlight=False, markup=False)


def _print_note(text: str, console: Console) -> None:
    """Print a sentence behind a dash, its further lines below its first."""
    grid = Table.grid()
    grid.add_row("- ", Text(text))
    console.print(grid)
