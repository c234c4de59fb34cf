"""Runs below folders, whatever the nesting, why other folders are left out, and which runs taught which."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from transkd.errors import ConfigError
from transkd.runs.finished import Run, read_run
from transkd.runs.folder import CONFIG, MARKS, METRICS, RESULTS, at_home, exists, is_file, is_folder
from transkd.runs.results import UnusableRunError

PARTS_OF_A_RUN = {"checkpoints", "predictions", "student", "model", "wandb", "tensorboard"}
NO_TEACHER = ("none",)
SAVED = ("", "model", "student")


class LeftOut(NamedTuple):
    """A folder that is not in the report, or a sweep's file on a job that left no run, and why."""

    folder: Path
    reason: str


class Collection(NamedTuple):
    """Finished runs, in the order of their folders, and folders that look like runs and cannot be used."""

    runs: tuple[Run, ...]
    left_out: tuple[LeftOut, ...]


def collect_runs(sources: Sequence[str], key: str = "runs") -> Collection:
    """Collect the runs below some folders.

    Args:
        sources: folders of runs or above them, globs of such, or the folders of sweeps, which list their jobs' runs.
        key: what messages call them.

    Raises:
        ConfigError: a source that does not exist, or no finished run below any of them.
    """
    runs: list[Run] = []
    left_out: list[LeftOut] = []
    named = [path for source in sources for path in expand(source, key)]
    roots = [root for path in named for root in (path, *sweep_runs(path, left_out))]
    for folder in run_folders(roots, left_out):
        try:
            runs.append(read_run(folder))
        except UnusableRunError as error:
            left_out.append(LeftOut(folder, str(error)))
    if not runs:
        found = "".join(f"\n  {one.folder}: {one.reason}" for one in left_out)
        raise ConfigError(
            f"{key}={', '.join(sources)}: there is no finished run, a folder with {CONFIG} and {RESULTS} as "
            "transkd-train leaves it" + (f"; what there is:{found}" if found else "")
        )
    return Collection(tuple(runs), tuple(left_out))


def expand(source: str, key: str) -> list[Path]:
    """Return the folders that a path or a glob stands for; a file of a run stands for the run.

    Raises:
        ConfigError: there is none.
    """
    path = at_home(source)
    found = [path] if exists(path) else []
    if not found:
        found = sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207, a glob may be absolute
        found = [one for one in found if one.is_dir() or one.name in MARKS]
    if not found:
        raise ConfigError(f"{key}={source}: there is no such folder; give a folder of runs, a list [a,b], or a glob")
    return list(dict.fromkeys(one.parent if one.name in MARKS and not one.is_dir() else one for one in found))


def sweep_runs(folder: Path, left_out: list[LeftOut]) -> Iterator[Path]:
    """Yield the folders of the runs that a sweep's jobs left, by the files in its folder; note the other jobs.

    A folder below the current one is yielded as people write it, so that no report holds the path of a machine.
    """
    for file in sorted(folder.glob("jobs/*.json")):
        try:
            job = json.loads(file.read_text())
            described = " ".join(("job", *map(str, job.get("overrides", ())), str(job["fate"])))
            run, message = job["folder"] and Path(job["folder"]), " ".join(str(job["message"]).split())
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            left_out.append(LeftOut(file, f"job unknown: the file cannot be read ({type(error).__name__})"))
            continue
        if run and is_folder(run):
            yield run.relative_to(Path.cwd()) if run.is_relative_to(Path.cwd()) else run
        elif run:
            reason = f"{described}, but its run {run} does not exist: give the folder where it is now in runs=…"
            left_out.append(LeftOut(file, reason))
        else:
            left_out.append(LeftOut(file, f"{described}: {message}" if message else described))


def run_folders(roots: Sequence[Path], left_out: list[LeftOut]) -> Iterator[Path]:
    """Yield each folder that looks like a run once, following links; note those that cannot be read."""

    def note(error: OSError) -> None:
        left_out.append(LeftOut(Path(error.filename), f"cannot be read ({error.strerror})"))

    seen: set[Path] = set()
    for path, folders, files in (step for root in roots for step in os.walk(root, onerror=note, followlinks=True)):
        folder = Path(path)
        if (real := folder.resolve()) in seen:
            folders.clear()
            continue
        seen.add(real)
        is_run = {CONFIG, RESULTS, METRICS} & set(files)
        if is_run:
            yield folder
        folders[:] = sorted(f for f in folders if not f.startswith(".") and not (is_run and f in PARTS_OF_A_RUN))


class Teachers(NamedTuple):
    """The teachers of some students.

    Attributes:
        runs: the teachers' runs.
        of: a student's folder -> its teacher's run.
        notes: sentences on teachers that were not found.
    """

    runs: tuple[Run, ...]
    of: Mapping[Path, Run]
    notes: tuple[str, ...] = ()


def find_teachers(students: Sequence[Run], among: Sequence[Run], named: Sequence[str]) -> Teachers:
    """Find the teachers of distilled students, among runs and where their configs point; those named taught everyone.

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
        teacher, weights = teacher_of(student, among), student.teacher_weights
        if teacher and student.flat_config.get("teacher.backbone") in (None, teacher.results.backbone):
            of[student.folder] = teacher
        elif weights == "random":
            notes.append("teacher.weights=random is a teacher that has learned nothing, so there is no gap to recover.")
        else:
            now = "was not found" if teacher is None else f"is of another network now ({teacher.folder})"
            notes.append(
                f"The run that saved teacher.weights={weights} {now}, so the share of the gap to it is not known: add "
                "its folder to runs=…, or name it by teacher_run=…"
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
    saved = os.path.normpath(weights)
    others = [(run, run.config.get("output") or run.folder) for run in runs if run is not student]
    same = [run for run, output in others if saved in (os.path.normpath(Path(output, name)) for name in SAVED)]
    return same[0] if len(same) == 1 else None
