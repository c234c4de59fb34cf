"""Runs below folders, whatever the nesting, and why other folders are left out."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from transkd.errors import ConfigError
from transkd.runs.finished import Run, read_run
from transkd.runs.folder import CONFIG, MARKS, METRICS, RESULTS, at_home, exists, is_folder
from transkd.runs.results import UnusableRunError

PARTS_OF_A_RUN = {"checkpoints", "predictions", "student", "model", "wandb", "tensorboard"}


@dataclass(frozen=True)
class LeftOut:
    """A folder that is not in the report, or a sweep's file on a job that left no run, and why."""

    folder: Path
    reason: str


@dataclass(frozen=True)
class Collection:
    """What was found.

    Attributes:
        runs: finished runs, in the order of their folders.
        left_out: folders that look like runs and cannot be used.
    """

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
    roots: list[Path] = []
    for path in [path for source in sources for path in expand(source, key)]:
        roots += [path, *sweep_runs(path, left_out)]
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
    if not found and glob.has_magic(source):
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
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
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
