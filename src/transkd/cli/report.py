"""``transkd-report``: a table over runs, with gains and what they are worth."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator

from transkd.cli.progress import output, starting, working
from transkd.errors import ConfigError
from transkd.options import Problem, Section, listed, option
from transkd.runs.command import command_line

if TYPE_CHECKING:
    from rich.console import Console

    from transkd.reporting import Report, ReportOptions

OWN_FILES = re.compile(
    r"report\.(html|md|json)|table(-\d+)?\.(csv|tex)|(gains|curves|miou-gmac|miou-latency|classes)(-\d+)?\.(svg|png)"
)

Texts = Annotated[list[str], BeforeValidator(listed)]
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

        typed = shlex.split(command_line() or "transkd-report")
        return ReportOptions(
            runs=tuple(self.runs),
            only=tuple(self.only),
            exclude=tuple(self.exclude),
            teacher_run=tuple(self.teacher_run) or None,
            split=self.tables == "split",
            confidence=self.confidence,
            baseline=self.baseline or "",
            scenes=self.scenes,
            command=shlex.join(text for text in typed if not text.startswith(("output=", "overwrite="))),
        )


def run_report(config: ReportConfig) -> None:
    """Collect runs, print what they scored, and write the report's folder.

    Raises:
        ConfigError: nothing to report, runs that do not compare, or an output that would be overwritten.
    """
    with starting("transkd-report"):
        from transkd.reporting import build_report, report_files
        from transkd.reporting.files import JSON, PAGE
        from transkd.runs.folder import at_home, exists, is_file, is_folder

    folder = at_home(config.output)
    try:
        if exists(folder) and not is_folder(folder):
            raise ConfigError(f"output={folder} is a file; give a folder")
        if exists(folder) and any(folder.iterdir()):
            if not is_file(folder / JSON):
                raise ConfigError(f"output={folder} is not empty and holds no report: choose another folder")
            if not config.overwrite:
                raise ConfigError(f"output={folder} holds a report already: choose another folder, or overwrite=true")
        with working("reading runs"):
            report = build_report(config.options())
        with working("drawing plots and writing pages"):
            _write(folder, report_files(report))
    except OSError as error:
        raise ConfigError(f"output={folder} cannot be written ({error.strerror}): choose another folder") from error
    print_report(report, output())
    print(f"report   {folder / PAGE}")


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """Write all files, then let them take the place of an earlier report's and remove those that it had beside them."""
    partial = folder / ".partial"
    try:
        partial.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (partial / name).write_bytes(content)
        for name in files:
            (partial / name).replace(folder / name)
        for path in folder.iterdir():
            if OWN_FILES.fullmatch(path.name) and path.name not in files:
                path.unlink()
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def print_report(report: Report, console: Console) -> None:
    """Print the tables of scores, their notes, and what was left out, as wide as the console is."""
    from transkd.reporting.columns import score_table
    from transkd.reporting.tables import terminal_table

    for table in report.tables:
        content = score_table(table.rows, report.options.confidence, scores={})
        console.print(terminal_table(content, table.title, unbroken=("mIoU, %",)))
        for note in table.notes:
            print("- " + note.replace("\n", "\n  "))
    for notice in report.notices:
        print("- " + notice.replace("\n", "\n  "))
    for one in report.left_out:
        print(f"left out {one.folder}: {one.reason}")
