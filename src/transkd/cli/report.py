"""``transkd-report``: a table over runs, with gains and what they are worth."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator

from transkd.cli.arguments import quoted
from transkd.cli.progress import starting, working
from transkd.errors import ConfigError
from transkd.options import Problem, Section, option

if TYPE_CHECKING:
    from rich.console import Console

    from transkd.reporting import Report, ReportOptions

SPECIAL = ",[]{}()'\""
"""Signs that make Hydra read a value as something else than text."""
WIDE = 200
"""Columns of a table that goes to a file, which nothing folds."""
OWN_FILES = re.compile(
    r"report\.(html|md|json)|table(-\d+)?\.(csv|tex)|(gains|curves|miou-gmac|miou-latency|classes)(-\d+)?\.(svg|png)"
)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


Texts = Annotated[list[str], BeforeValidator(_listed)]
TEXTS = "text, or a list of texts"


class ReportConfig(Section):
    r"""Make a table of runs over seeds, with gains and what they are worth.

    Examples:
      transkd-report                            all of runs/, into report/
      transkd-report runs=runs/multirun/DATE output=report/methods
      transkd-report runs=[runs/camvid_*,runs/more] only=data.name:camvid \
        exclude=student.backbone:lvt
      transkd-report only=[seed:0,seed:1] tables=split \
        teacher_run=runs/camvid_teacher-s0

    The folder holds report.html (one page that loads nothing), report.md,
    report.json, table.csv, table.tex (booktabs), and the plots as PNG and SVG.
    Runs that are unfinished, damaged or of another program are listed, with the
    reason.

    More: docs/report.md
    """

    runs: Texts = option(
        "runs",
        "run folders, folders above them at any depth, or globs; one or a list",
        heading="Runs",
        give="a folder or a glob, or a list of such",
        min_length=1,
    )
    only: Texts = option(
        None,
        "only runs for which these hold, KEY:VALUE, one or a list; * and ? match anything; of several for one key, one "
        "has to hold; keys are those of a run's config.yaml, protocol.…, data.count, data.sha256, training.…, folder",
        give=TEXTS,
    )
    exclude: Texts = option(None, "leave out runs for which one of these holds", give=TEXTS)
    teacher_run: Texts = option(
        None,
        "the teachers' runs, for the share of the gap that was recovered; null: those whose weights the students' "
        "configs name; none: no teacher",
        give=TEXTS,
    )
    tables: Literal["one", "split"] = option(
        "one",
        "one: all runs have one protocol, data and recipe; split: a table for each group that has",
        heading="Report",
    )
    baseline: str | None = option(
        None, "what gains are over: the title of a method of the table, * and ? match anything; null: the plain student"
    )
    confidence: float = option(0.95, "of the intervals of gains", gt=0.5, le=0.9999)
    scenes: int = option(3, "how many example scenes the page shows", ge=0)
    output: str = option("report", "the folder of the report", heading="Output")
    overwrite: bool = option(False, "replace the report that the folder holds")

    def problems(self) -> Iterator[Problem]:
        """Yield the conditions that cannot be read."""
        from transkd.reporting.selection import parse_condition

        for key in ("only", "exclude"):
            for text in getattr(self, key):
                try:
                    parse_condition(text)
                except ConfigError as error:
                    yield Problem(key, str(error))

    def options(self) -> ReportOptions:
        """Return what the report is made from."""
        from transkd.reporting import ReportOptions

        return ReportOptions(
            runs=tuple(self.runs),
            only=tuple(self.only),
            exclude=tuple(self.exclude),
            teacher_run=tuple(self.teacher_run) or None,
            split=self.tables == "split",
            confidence=self.confidence,
            baseline=self.baseline or "",
            scenes=self.scenes,
            command=self.command(),
        )

    def command(self) -> str:
        """Return the command that makes the same report, wherever it is written to."""
        arguments = []
        for key in ("runs", "only", "exclude", "teacher_run"):
            if values := getattr(self, key):
                listed = ",".join(values)
                arguments.append(f"{key}={listed}" if len(values) == 1 else f"{key}=[{listed}]")
        arguments += ["tables=split"] * (self.tables == "split")
        if self.baseline:
            special = any(sign in SPECIAL for sign in self.baseline)
            arguments.append(f"baseline={quoted(self.baseline) if special else self.baseline}")
        arguments += [f"confidence={self.confidence:g}"] * (self.confidence != 0.95)
        return shlex.join(["transkd-report", *arguments])


def run_report(config: ReportConfig) -> None:
    """Collect runs, print what they scored, and write the report's folder.

    Raises:
        ConfigError: nothing to report, runs that do not compare, or an output that would be overwritten.
    """
    from rich.console import Console

    with starting("transkd-report"):
        from transkd.reporting import build_report, report_files
        from transkd.reporting.files import PAGE
        from transkd.runs.folder import at_home

    folder = at_home(config.output)
    _refuse_overwriting(folder, overwrite=config.overwrite)
    with working("reading runs"):
        report = build_report(config.options())
    with working("drawing plots and writing pages"):
        files = report_files(report)
    _write(folder, files)
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    print_report(report, console)
    console.print(f"report   {folder / PAGE}", highlight=False, soft_wrap=True)


def _refuse_overwriting(folder: Path, *, overwrite: bool) -> None:
    from transkd.reporting.files import JSON
    from transkd.runs.folder import exists, is_file, is_folder

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
            if OWN_FILES.fullmatch(path.name) and path.name not in files:
                path.unlink()
    except OSError as error:
        for path in partial.values():
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(f"output={folder} cannot be written ({error.strerror}): choose another folder")


def print_report(report: Report, console: Console) -> None:
    """Print the tables of scores, their notes, and what was left out, as wide as the console is."""
    from transkd.reporting.columns import score_table
    from transkd.reporting.tables import terminal_table

    for table in report.tables:
        content = score_table(table.rows, report.options.confidence, scores=())
        console.print(terminal_table(content, table.title, unbroken=("mIoU, %",)))
        for note in table.notes:
            _print_note(note, console)
    for notice in report.notices:
        _print_note(notice, console)
    for one in report.left_out:
        console.print(f"left out {one.folder}: {one.reason}", highlight=False, markup=False)


def _print_note(text: str, console: Console) -> None:
    """Print a sentence behind a dash, its further lines below its first."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid()
    grid.add_row("- ", Text(text))
    console.print(grid)
