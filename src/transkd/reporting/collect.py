"""Finding runs below folders, whatever the nesting."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from transkd.errors import ConfigError, did_you_mean
from transkd.runs.finished import Run, read_run, score_facts
from transkd.runs.folder import CONFIG, MARKS, METRICS, RESULTS, at_home, exists, is_file, is_folder
from transkd.runs.recipe import shown
from transkd.runs.results import UnusableRunError


class Condition(NamedTuple):
    """A key and the value, or the pattern with ``*`` and ``?``, that it has to have."""

    key: str
    value: str

    def holds(self, run: Run) -> bool:
        """Return whether it holds for a run; a key that the run does not have is null."""
        value = selectable(run).get(self.key)
        return value == _parsed(self.value) or fnmatchcase(shown(value), self.value)


def parse_condition(text: str) -> Condition:
    """Return the condition that ``KEY:VALUE`` means.

    Raises:
        ConfigError: it is not of that form.
    """
    key, colon, value = text.partition(":")
    if not (key and colon and value):
        raise ConfigError(f"'{text}' is not of the form KEY:VALUE, such as trainer.max_epochs:40 or seed:0")
    return Condition(key, value.strip())


def _parsed(text: str) -> object:
    """Return a value as YAML has it, and numbers as people write them, such as 1e-3."""
    try:
        value = yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):  # ValueError: a date that does not exist
        return text
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def selectable(run: Run) -> dict[str, Any]:
    """Return what a run can be chosen by: its config, ``protocol.…``, ``data.…``, ``training.…`` and ``folder``."""
    training = {f"training.{key}": value for key, value in run.results.training.model_dump().items()}
    return {**run.flat_config, **score_facts(run), **training, "folder": run.folder.as_posix()}


def chosen(runs: Sequence[Run], only: Iterable[str], exclude: Iterable[str]) -> tuple[Run, ...]:
    """Return the runs that are asked for.

    Args:
        runs: what there is.
        only: conditions that hold; of several for one key, one has to.
        exclude: conditions of which none holds.

    Raises:
        ConfigError: a condition on a key that no run has, or nothing is left.
    """
    wanted, unwanted = ([parse_condition(text) for text in texts] for texts in (only, exclude))
    known = {key for run in runs for key in selectable(run)}
    for condition in (*wanted, *unwanted):
        if condition.key not in known:
            raise ConfigError(f"no run has a key '{condition.key}'; {did_you_mean(condition.key, known)}")
    keys = dict.fromkeys(condition.key for condition in wanted)
    kept = tuple(
        run
        for run in runs
        if all(any(c.holds(run) for c in wanted if c.key == key) for key in keys)
        and not any(condition.holds(run) for condition in unwanted)
    )
    if not kept:
        said = " ".join(
            [*(f"only={c.key}:{c.value}" for c in wanted), *(f"exclude={c.key}:{c.value}" for c in unwanted)]
        )
        raise ConfigError(f"{said}: none of the {len(runs)} runs is left; {_values(runs, wanted)}")
    return kept


def _values(runs: Sequence[Run], wanted: Sequence[Condition]) -> str:
    """Say which values there are of the keys that were asked for."""
    lines = []
    for key in dict.fromkeys(condition.key for condition in wanted):
        values = dict.fromkeys(shown(selectable(run).get(key)) for run in runs)
        lines.append(f"{key} is {', '.join(values)}")
    return "; ".join(lines) or "exclude fewer"


PARTS_OF_A_RUN = {"checkpoints", "predictions", "student", "model", "wandb", "tensorboard"}


@dataclass(frozen=True)
class LeftOut:
    """A folder that is not in the report, and why."""

    folder: Path
    reason: str


@dataclass(frozen=True)
class Collection:
    """What was found.

    Attributes:
        runs: finished runs, in the order of their folders.
        left_out: folders that look like runs and are of no use.
    """

    runs: tuple[Run, ...]
    left_out: tuple[LeftOut, ...]


def collect_runs(sources: Sequence[str], key: str = "runs") -> Collection:
    """Collect the runs below some folders.

    Args:
        sources: folders of runs or above them, globs of such, or the folders of sweeps, which name their jobs' runs.
        key: what messages call them.

    Raises:
        ConfigError: a source that does not exist, or no finished run below any of them.
    """
    runs: list[Run] = []
    left_out: list[LeftOut] = []
    roots: list[Path] = []
    for path in [path for source in sources for path in _expanded(source, key)]:
        jobs = read_sweep(path)
        here = [job.folder for job in jobs if job.folder is not None and is_folder(job.folder)]
        roots += [path, *map(_from_here, here)]
        left_out += [LeftOut(job.file, job.reason) for job in jobs if job.folder not in here]
    for folder in _run_folders(roots, left_out):
        try:
            runs.append(read_run(folder))
        except UnusableRunError as error:
            left_out.append(LeftOut(folder, str(error)))
    if not runs:
        found = "".join(f"\n  {one.folder}: {one.reason}" for one in left_out)
        where = ", ".join(sources)
        raise ConfigError(
            f"{key}={where}: there is no finished run, a folder with {CONFIG} and {RESULTS} as transkd-train leaves it"
            + (f"; what there is:{found}" if found else "")
        )
    return Collection(tuple(runs), tuple(left_out))


@dataclass(frozen=True)
class SweepJob:
    """What a sweep says of one of its jobs.

    Attributes:
        file: where it says so.
        fate: what became of the job.
        folder: its run; None where it left none.
        message: why it did not go well.
        overrides: its values of the swept keys.
    """

    file: Path
    fate: str
    folder: Path | None
    message: str
    overrides: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """Why it left no run to report on."""
        job = " ".join(("job", *self.overrides, self.fate))
        if self.folder is not None:
            return f"{job}, but its run {self.folder} is not there: name the folder where it lies now in runs=…"
        return f"{job}: {self.message}" if self.message else job


def read_sweep(folder: Path) -> list[SweepJob]:
    """Return the jobs of a sweep by the files in its folder, empty where it is none.

    A damaged file is a job that left no run.
    """
    jobs: list[SweepJob] = []
    for file in sorted(folder.glob("jobs/*.json")):
        try:
            job = json.loads(file.read_text())
            run = Path(job["folder"]) if job["folder"] else None
            overrides = tuple(map(str, job.get("overrides", ())))
            jobs.append(SweepJob(file, str(job["fate"]), run, " ".join(str(job["message"]).split()), overrides))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            jobs.append(SweepJob(file, "unknown", None, f"the file cannot be read ({type(error).__name__})"))
    return jobs


def _from_here(folder: Path) -> Path:
    """Return a folder below the current one as people name it, so that no report holds the path of a machine."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _expanded(source: str, key: str) -> list[Path]:
    path = at_home(source)
    if exists(path):
        return [path.parent] if path.is_file() and path.name in MARKS else [path]
    if glob.has_magic(source):
        found = sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207, a glob may be absolute
        if folders := dict.fromkeys(p.parent if p.name in MARKS else p for p in found if p.is_dir() or p.name in MARKS):
            return list(folders)
    raise ConfigError(f"{key}={source}: there is no such folder; give a folder of runs, a list [a,b], or a glob")


def _run_folders(roots: Sequence[Path], left_out: list[LeftOut]) -> Iterator[Path]:
    """Yield each folder that looks like a run once, following links; note those that cannot be looked into."""

    def note(error: OSError) -> None:
        left_out.append(LeftOut(Path(error.filename), f"cannot be read ({error.strerror})"))

    seen: set[Path] = set()
    for root in roots:
        for place, folders, files in os.walk(root, onerror=note, followlinks=True):
            folder = Path(place)
            if (real := folder.resolve()) in seen:
                folders.clear()
                continue
            seen.add(real)
            is_run = {CONFIG, RESULTS, METRICS} & set(files)
            if is_run:
                yield folder
            folders[:] = sorted(f for f in folders if not f.startswith(".") and not (is_run and f in PARTS_OF_A_RUN))


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
