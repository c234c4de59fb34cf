"""A report: from folders of runs to tables of methods, with notes on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transkd.errors import ConfigError, did_you_mean
from transkd.reporting.collect import NO_TEACHER, LeftOut, Teachers, collect_runs, find_teachers
from transkd.reporting.columns import score_table
from transkd.reporting.methods import PLAIN_STUDENT, find_baselines, group_by_method, teachers_that_compare
from transkd.reporting.notes import table_notes
from transkd.reporting.rows import Row, build_rows
from transkd.reporting.selection import comparable_groups, select_runs
from transkd.reporting.tables import markdown_table, markdown_text
from transkd.runs.finished import Run, score_facts
from transkd.runs.recipe import differing_keys, shown


@dataclass(frozen=True)
class ReportOptions:
    """What a report is made from.

    Attributes:
        runs: folders or globs of runs, any nesting.
        only, exclude: conditions ``KEY:VALUE`` on runs.
        teacher_run: folders of the teachers' runs, ``("none",)`` for a report without, None to look them up.
        split: a table for each group of comparable runs, instead of refusing a mix.
        confidence: of the intervals.
        baseline: title of the method that gains are over, ``*`` and ``?`` match anything; empty for the plain student.
        scenes: how many example scenes to show.
        command: the command line to name in the report.
    """

    runs: tuple[str, ...]
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    teacher_run: tuple[str, ...] | None = None
    split: bool = False
    confidence: float = 0.95
    baseline: str = ""
    scenes: int = 3
    command: str = ""


@dataclass(frozen=True)
class Table:
    """Methods that compare.

    Attributes:
        title: what sets the table apart from the others of the report; empty where there is one.
        baseline: what gains are over, as it reads in a sentence.
        rows: teachers, plain students, distilled students.
        notes: sentences on how to read it.
    """

    title: str
    baseline: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run that counts in it."""
        return tuple(run for row in self.rows for run in row.method.runs)


@dataclass(frozen=True)
class Report:
    """The content of a report.

    Attributes:
        tables: one, or one for each group of comparable runs.
        notices: sentences on runs to check.
        left_out: folders that cannot be used, and why.
        options: what it was made from.
    """

    tables: tuple[Table, ...]
    notices: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    options: ReportOptions

    def __repr__(self) -> str:
        """Return a line; the dataclass's own would be every number of every run."""
        runs = sum(len(table.runs) for table in self.tables)
        return f"<Report: {runs} runs, {len(self.tables)} table{'s' * (len(self.tables) > 1)}>"

    def _repr_markdown_(self) -> str:
        """Show the tables of scores with their notes in a notebook."""
        lines = [f"- {markdown_text(notice)}" for notice in self.notices] + [""] * bool(self.notices)
        for table in self.tables:
            lines += [f"## {markdown_text(table.title)}", ""] if table.title else []
            lines += markdown_table(score_table(table.rows, self.options.confidence))
            lines += [*(f"- {markdown_text(note)}" for note in table.notes), ""]
        return "\n".join(lines).rstrip() + "\n"


def report(*runs: str | Path, **options: Any) -> Report:
    """Read finished runs and return a report on them; a notebook shows its tables of scores.

    Args:
        runs: folders of runs or above them, globs of such, or the folders of sweeps.
        **options: the further attributes of :class:`ReportOptions`, such as ``only=("data.name:camvid",)``.

    Returns:
        The report: ``.tables[0].rows`` are its methods; :func:`draw_plot` draws its plots, and :func:`report_files`
        makes its page and all other files.

    Raises:
        ConfigError: no runs, or runs that do not compare; see :func:`build_report`.

    Example:
        >>> report("runs", exclude=("student.backbone:lvt",)).tables[0].rows[0].miou.mean
    """
    return build_report(ReportOptions(tuple(str(one) for one in runs), **options))


def build_report(options: ReportOptions) -> Report:
    """Read runs and compute what a report states about them.

    Raises:
        ConfigError: sources or conditions that find nothing, a mix of protocols, data or recipes, runs of the same
            method and seed with different results, a named teacher whose score does not compare, or a baseline that no
            method or several methods of a network are called.
    """
    collection = collect_runs(options.runs)
    kept = select_runs(collection.runs, options.only, options.exclude)
    named = tuple(options.teacher_run or ())
    taught = find_teachers(kept, collection.runs, () if named == NO_TEACHER else named)
    others = [run for run in kept if run.folder not in {teacher.folder for teacher in taught.runs}]
    also_students = {run.folder for run in teachers_that_compare(taught.runs, others)}
    alone = {run.folder for run in taught.runs} - also_students
    students = [run for run in kept if run.folder not in alone]
    if not students:
        raise ConfigError(f"there is no run but the teacher's ({kept[0].folder}): add those of students to runs=…")
    left_out = collection.left_out
    if named == NO_TEACHER:
        unused = (run.folder for run in collection.runs if run.folder in alone)
        left_out += tuple(LeftOut(folder, "a teacher, and teacher_run=none") for folder in unused)
        taught = Teachers((), {})
    groups = comparable_groups(students, split=options.split)
    tables = tuple(build_table(title, runs, taught, options) for title, runs in groups)
    methods = [row.method for table in tables for row in table.rows]
    if options.baseline and not any(find_baselines([method], options.baseline) for method in methods):
        titles = {method.title for method in methods if method.kind != "teacher"}
        hint = did_you_mean(options.baseline, titles)
        raise ConfigError(f"baseline={options.baseline}: no method has this title; {hint}")
    repeats = (
        f"{run.folder} repeats {method.title}, seed {run.seed}, with equal results, and counts once."
        for method in methods
        for run in method.repeats
    )
    return Report(tables, (*taught.notes, *repeats), left_out, options)


def build_table(title: str, runs: Sequence[Run], taught: Teachers, options: ReportOptions) -> Table:
    """Return the table of runs that compare, with those teachers whose scores compare with theirs.

    Raises:
        ConfigError: a named teacher whose score does not, runs of the same method and seed with different results, or
            a baseline that several methods of a network are called.
    """
    first = runs[0]
    teacher_of = {run.folder: taught.of[run.folder] for run in runs if run.folder in taught.of}
    used = {teacher.folder for teacher in teacher_of.values()}
    shown_teachers, notes = [], []
    for teacher in taught.runs:
        if not options.teacher_run and teacher.folder not in used:
            continue
        ours, theirs = score_facts(first), score_facts(teacher)
        keys = differing_keys(ours, theirs)
        if not keys:
            shown_teachers.append(teacher)
            continue
        values = "; ".join(f"{key}: {shown(theirs.get(key))}, not {shown(ours.get(key))}" for key in keys)
        text = f"teacher {teacher.folder} was scored in another way than {first.folder}: {values}"
        if options.teacher_run and not options.split:
            raise ConfigError(f"the {text}; name another by teacher_run=…, or teacher_run=none")
        notes.append(f"The {text}; so it is left out, and the share of the gap with it.")
        teacher_of = {folder: run for folder, run in teacher_of.items() if run.folder != teacher.folder}
    methods = group_by_method(runs, shown_teachers, teacher_of)
    rows = build_rows(methods, options.confidence, options.baseline)
    baselines = find_baselines(methods, options.baseline).values()
    titles = dict.fromkeys(PLAIN_STUDENT if method.kind == "plain" else method.title for method in baselines)
    baseline = " / ".join(titles) or PLAIN_STUDENT
    return Table(title, baseline, rows, (*notes, *table_notes(rows, options.confidence, baseline)))
