"""Finding runs below folders, whatever the nesting."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from transkd.errors import ConfigError
from transkd.reporting.paths import at_home, exists, is_folder
from transkd.reporting.runs import CONFIG, MARKS, METRICS, RESULTS, Run, UnusableRunError, read_run

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
