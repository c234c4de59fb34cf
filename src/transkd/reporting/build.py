"""From folders to a report's numbers and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transkd.errors import ConfigError
from transkd.reporting.collect import NO_TEACHER, Collection, LeftOut, Teachers, chosen, collect_runs, find_teachers
from transkd.reporting.grouping import Group, comparable_groups
from transkd.reporting.methods import also_students, check_baseline, find_baselines, methods_of, named, same_names
from transkd.reporting.notes import table_notes
from transkd.reporting.rows import Row, build_rows
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
    """All that a report says.

    Attributes:
        tables: one, or one for each group of comparable runs.
        notices: sentences on runs that deserve a look.
        left_out: folders that are of no use, and why.
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
        """Show the tables of scores in a notebook."""
        from transkd.reporting.markdown import summary

        return summary(self)


def build_report(options: ReportOptions) -> Report:
    """Read runs and compute what a report says of them.

    Raises:
        ConfigError: sources or conditions that find nothing, a mix of protocols, data or recipes, runs of the same
            method and seed with different results, a named teacher whose score does not compare, or a baseline that no
            method or several methods of a network are called.
    """
    collection = collect_runs(options.runs)
    kept = chosen(collection.runs, options.only, options.exclude)
    taught_by = find_teachers(kept, collection.runs, options.teacher_run)
    teachers = {run.folder for run in taught_by.runs}
    students = tuple(run for run in kept if run.folder not in teachers)
    again = {run.folder for run in also_students(taught_by.runs, students)}
    students = tuple(run for run in kept if run.folder not in teachers or run.folder in again)
    if not students:
        raise ConfigError(f"there is no run but the teacher's ({kept[0].folder}): add those of students to runs=…")
    no_teachers = list(options.teacher_run or ()) == [NO_TEACHER]
    left_out = [*collection.left_out, *_without_role(taught_by, again, collection) * no_teachers]
    if no_teachers:
        taught_by = Teachers((), {}, ())
    tables = tuple(_table(group, taught_by, options) for group in comparable_groups(students, split=options.split))
    check_baseline(options.baseline, ([row.method for row in table.rows] for table in tables))
    notices = [*same_names(kept), *taught_by.notes, *_repeats(tables)]
    return Report(tables, tuple(notices), tuple(left_out), options)


def _without_role(taught_by: Teachers, again: set[Path], collection: Collection) -> list[LeftOut]:
    here = {run.folder for run in collection.runs}
    gone = [run for run in taught_by.runs if run.folder in here and run.folder not in again]
    return [LeftOut(run.folder, "a teacher, and teacher_run=none") for run in gone]


def _table(group: Group, taught_by: Teachers, options: ReportOptions) -> Table:
    folders = {run.folder for run in group.runs}
    teachers, other, notes = [], set(), []
    taught = {taught_by.of[folder].folder for folder in folders if folder in taught_by.of}
    for run in taught_by.runs:
        if not options.teacher_run and run.folder not in taught:
            continue
        differences = _score_differences(group.runs[0], run)
        if not differences:
            teachers.append(run)
            continue
        text = f"the teacher {run.folder} was scored in another way than {group.runs[0].folder}: {differences}"
        if options.teacher_run and not options.split:
            raise ConfigError(f"{text}; name another by teacher_run=…, or teacher_run=none")
        notes.append(f"{text[0].upper()}{text[1:]}; so it is left out, and the share of the gap with it.")
        other.add(run.folder)
    of = {folder: run for folder, run in taught_by.of.items() if folder in folders and run.folder not in other}
    methods = methods_of(group.runs, Teachers(tuple(teachers), of, ()), teachers)
    rows = build_rows(methods, options.confidence, options.baseline)
    baseline = named(find_baselines(methods, options.baseline))
    return Table(group.title, baseline, rows, (*notes, *table_notes(rows, options.confidence, baseline)))


def _score_differences(student: Run, teacher: Run) -> str:
    ours, theirs = score_facts(student), score_facts(teacher)
    keys = differing_keys(ours, theirs)
    return "; ".join(f"{key}: {shown(theirs.get(key))}, not {shown(ours.get(key))}" for key in keys)


def _repeats(tables: Sequence[Table]) -> list[str]:
    return [
        f"{run.folder} repeats {row.method.title}, seed {run.seed}, with equal results, and counts once."
        for table in tables
        for row in table.rows
        for run in row.method.repeats
    ]
