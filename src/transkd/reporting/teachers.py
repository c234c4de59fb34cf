"""Who taught whom: the runs that saved the weights which the students' configs name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from transkd.reporting.collect import collect_runs
from transkd.runs.finished import Run, read_run
from transkd.runs.folder import RESULTS, at_home, is_file
from transkd.runs.results import UnusableRunError

NO_TEACHER = ("none",)
SAVED = ("model", "student")


@dataclass(frozen=True)
class Teachers:
    """The teachers of some students.

    Attributes:
        runs: the teachers' runs.
        of: a student's folder -> its teacher's run.
        notes: sentences on teachers that were not found.
    """

    runs: tuple[Run, ...] = ()
    of: dict[Path, Run] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def find_teachers(students: Sequence[Run], among: Sequence[Run], named: Sequence[str]) -> Teachers:
    """Find the teachers of distilled students, among runs and where the students' configs point.

    Args:
        students: the runs of the report.
        among: all runs that were found.
        named: folders of the teachers' runs, which then taught everyone; empty to look them up.

    Raises:
        ConfigError: a named teacher is no finished run.
    """
    students = [run for run in students if run.teacher_weights is not None]
    if named:
        found = {run.folder.resolve(): run for run in among}
        runs = [found.get(run.folder.resolve(), run) for run in collect_runs(named, "teacher_run").runs]
        return Teachers(tuple(runs), {run.folder: teacher_of(run, runs) or runs[0] for run in students})
    of: dict[Path, Run] = {}
    notes = []
    for student in students:
        weights, backbone = student.teacher_weights, student.flat_config.get("teacher.backbone")
        teacher = teacher_of(student, among)
        if teacher is not None and backbone in (None, teacher.results.backbone):
            of[student.folder] = teacher
        elif teacher is not None:
            notes.append(
                f"teacher.weights={weights} was a {backbone} when it taught, and leads to the run {teacher.folder} of "
                f"a {teacher.results.backbone} now, so the share of the gap to it is not known: name the right run by "
                "teacher_run=…"
            )
        elif weights == "random":
            notes.append("teacher.weights=random is a teacher that has learned nothing, so there is no gap to recover.")
        else:
            notes.append(
                f"The run that saved teacher.weights={weights} was not found, so the share of the gap to it is not "
                "known: add its folder to runs=…, or name it by teacher_run=…"
            )
    return Teachers(tuple({run.folder: run for run in of.values()}.values()), of, tuple(dict.fromkeys(notes)))


def teacher_of(student: Run, runs: Sequence[Run]) -> Run | None:
    """Return the run that saved the weights which a student names, where it is or where it was written."""
    weights = str(student.teacher_weights)
    path = at_home(weights)
    for folder in (path, path.parent):
        if is_file(folder / RESULTS):
            real = folder.resolve()
            try:
                return next((run for run in runs if run.folder.resolve() == real), None) or read_run(folder)
            except UnusableRunError:
                return None
    same = [run for run in runs if run is not student and os.path.normpath(weights) in _saved_as(run)]
    return same[0] if len(same) == 1 else None


def _saved_as(run: Run) -> set[str]:
    output = str(run.config.get("output") or run.folder)
    return {os.path.normpath(path) for path in (output, *(os.path.join(output, name) for name in SAVED))}  # noqa: PTH118
