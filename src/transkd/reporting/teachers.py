"""Which runs taught: those whose saved weights the configs of students name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from transkd.reporting.collect import collect_runs
from transkd.reporting.paths import at_home, is_file
from transkd.reporting.runs import RESULTS, Run, UnusableRunError, read_run

NO_TEACHER = "none"
LEARNED_NOTHING = "random"
SAVED = ("model", "student")


@dataclass(frozen=True)
class Teachers:
    """Who taught whom.

    Attributes:
        runs: the teachers.
        of: a student's folder -> its teacher's run.
        notes: sentences on teachers that were not found.
    """

    runs: tuple[Run, ...]
    of: dict[Path, Run]
    notes: tuple[str, ...]


def find_teachers(students: Sequence[Run], among: Sequence[Run], named: Sequence[str] | None) -> Teachers:
    """Find the teachers of distilled students, among runs and where the students' configs say.

    Args:
        students: the runs of the report.
        among: all runs there are.
        named: folders of the teachers' runs, which then taught everyone; None or ``["none"]`` to look them up.

    Raises:
        ConfigError: a named teacher is no finished run.
    """
    distilled = [run for run in students if run.teacher_weights is not None]
    if named and list(named) != [NO_TEACHER]:
        return _named_teachers(distilled, among, named)
    of: dict[Path, Run] = {}
    notes: dict[str, None] = {}
    for student in distilled:
        teacher = _teacher_of(student, among)
        if teacher is None:
            notes[_not_found(student)] = None
        elif (wished := student.flat_config.get("teacher.backbone")) in (None, teacher.results.backbone):
            of[student.folder] = teacher
        else:
            notes[
                f"teacher.weights={student.teacher_weights} was a {wished} when it taught, and leads to the run "
                f"{teacher.folder} of a {teacher.results.backbone} now, so the share of the gap to it is not known: "
                "name the right run by teacher_run=…"
            ] = None
    return Teachers(_unique(of.values()), of, tuple(notes))


def _not_found(student: Run) -> str:
    if student.teacher_weights == LEARNED_NOTHING:
        return "teacher.weights=random is a teacher that has learned nothing, so there is no gap to it to recover."
    return (
        f"The run that saved teacher.weights={student.teacher_weights} was not found, so the share of the gap to it is "
        "not known: add its folder to runs=…, or name it by teacher_run=…"
    )


def _named_teachers(students: Sequence[Run], among: Sequence[Run], named: Sequence[str]) -> Teachers:
    found = {run.folder.resolve(): run for run in among}
    read = [found.get(run.folder.resolve(), run) for run in collect_runs(named, "teacher_run").runs]
    own = {student.folder: _teacher_of(student, read) for student in students}
    return Teachers(_unique(read), {folder: teacher or read[0] for folder, teacher in own.items()}, ())


def _unique(runs: Iterable[Run]) -> tuple[Run, ...]:
    return tuple({run.folder: run for run in runs}.values())


def _teacher_of(student: Run, runs: Sequence[Run]) -> Run | None:
    """Return the run whose saved weights a student names: by the file system, else by what the runs call themselves."""
    weights = student.teacher_weights
    assert weights is not None
    path = at_home(weights)
    for folder in (path, path.parent):
        if is_file(folder / RESULTS):
            real = folder.resolve()
            return next((run for run in runs if run.folder.resolve() == real), None) or _readable(folder)
    same = [run for run in runs if run is not student and os.path.normpath(weights) in _saved_as(run)]
    return same[0] if len(same) == 1 else None


def _saved_as(run: Run) -> set[str]:
    output = str(run.config.get("output") or run.folder)
    return {os.path.normpath(path) for path in (output, *(os.path.join(output, name) for name in SAVED))}  # noqa: PTH118


def _readable(folder: Path) -> Run | None:
    try:
        return read_run(folder)
    except UnusableRunError:
        return None
