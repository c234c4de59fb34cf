"""Which files a prediction writes, known before anything is computed."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from transkd.errors import ConfigError
from transkd.prediction import EXACT_KINDS, Existing, Kind
from transkd.prediction.outputs import kind_of
from transkd.prediction.sources import VIDEO_SUFFIXES, Source

PICTURE, VIDEO, FRAMES = ".png", ".mp4", ".frames"
PHOTO_SUFFIXES = (".jpg", ".jpeg")
SHOWN = 10
"""So many pairs of inputs that would write one file are listed."""


@dataclass(frozen=True)
class Job:
    """A source and its outputs.

    Attributes:
        source: the picture or video.
        outputs: kind -> file; of a video's ``EXACT_KINDS``, the folder of its frames.
    """

    source: Source
    outputs: Mapping[Kind, Path]


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        jobs: sources with the outputs to write, in order.
        skipped: how many sources have all their outputs already.
    """

    jobs: list[Job]
    skipped: int


def plan_outputs(sources: Sequence[Source], output: Path, kinds: Sequence[Kind], existing: Existing) -> Plan:
    """Name every output: ``output/NAME.png`` for one kind, ``output/KIND/NAME.png`` for several.

    Videos become ``NAME.mp4``, and a folder ``NAME.frames`` of PNG files for ``EXACT_KINDS``. Where there is one
    source and one kind, ``output`` may be the file itself.

    Args:
        sources: what is read.
        output: the folder to write to, or the file.
        kinds: what is drawn.
        existing: what to do where an output exists.

    Raises:
        ConfigError: two sources would write one file, an output is one of the sources, an output exists and
            ``existing`` is "error", or the folder cannot be written to.
    """
    single = single_file(sources, output, kinds)
    folders = {kind: output / kind if len(kinds) > 1 else output for kind in kinds}
    jobs = [
        Job(source, single or {kind: folders[kind] / f"{source.name}{suffix(source, kind)}" for kind in kinds})
        for source in sources
    ]
    refuse_collisions(jobs)
    folder = output if single is None else output.parent
    nearest = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(parent))
    if not nearest.is_dir():
        raise ConfigError(f"output={folder}: {nearest} is a file, not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigError(f"output={folder}: no permission to write to {nearest}")
    there = {path for job in jobs for path in job.outputs.values() if exists(path)}
    if there and existing == "error":
        total = sum(len(job.outputs) for job in jobs)
        raise ConfigError(
            f"{len(there)} of {total} outputs exist already, such as {min(there)}: existing=skip makes the others, "
            "overwrite=true replaces them, or choose another output"
        )
    refuse_other_content(jobs, there, existing)
    if existing == "skip":
        left = [{kind: path for kind, path in job.outputs.items() if path not in there} for job in jobs]
        jobs = [Job(job.source, outputs) for job, outputs in zip(jobs, left, strict=True) if outputs]
    return Plan(jobs, len(sources) - len(jobs))


def suffix(source: Source, kind: Kind) -> str:
    """Return the ending of a source's output."""
    if not source.is_video:
        return PICTURE
    return FRAMES if kind in EXACT_KINDS else VIDEO


def single_file(sources: Sequence[Source], output: Path, kinds: Sequence[Kind]) -> dict[Kind, Path] | None:
    """Return ``output`` as the only file, where it is named as one.

    Raises:
        ConfigError: there are several outputs, or they are not written in such files.
    """
    ending = output.suffix.lower()
    if output.is_dir() or ending not in (PICTURE, *PHOTO_SUFFIXES, *VIDEO_SUFFIXES):
        return None
    if len(sources) > 1 or len(kinds) > 1:
        many = f"{len(sources)} inputs" if len(sources) > 1 else f"{len(kinds)} kinds"
        raise ConfigError(f"output={output} is one file, for {many}: give a folder")
    source, kind = sources[0], kinds[0]
    fitting = {suffix(source, kind)}
    if kind in ("overlay", "compare") and not source.is_video:
        fitting |= set(PHOTO_SUFFIXES)
    if ending not in fitting:
        what = f"{kind} of a {'video' if source.is_video else 'picture'}"
        raise ConfigError(f"output={output}: {what} is written as {' or '.join(sorted(fitting))}")
    return {kind: output}


def refuse_collisions(jobs: Sequence[Job]) -> None:
    """Raise a ConfigError if two sources would write one file, or one would be overwritten."""
    makers: defaultdict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        makers[str(next(iter(job.outputs.values()))).casefold()].append(job)
    shared = [several for several in makers.values() if len(several) > 1]
    if shared:
        lines = [
            f"  {' and '.join(str(job.source.path) for job in several)} -> {next(iter(several[0].outputs.values()))}"
            for several in shared
        ]
        head = "inputs would write the same file; rename them, or predict some of them ('FOLDER/*.jpg') at a time:"
        more = [f"  and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        raise ConfigError("\n".join([head, *lines[:SHOWN], *more]))
    real_folder = cache(os.path.realpath)
    inputs = {Path(real_folder(job.source.path.parent), job.source.path.name) for job in jobs}
    for path in (path for job in jobs for path in job.outputs.values()):
        if Path(real_folder(path.parent), path.name) in inputs:
            raise ConfigError(f"{path} is an input, which is never overwritten: choose another output")


def exists(path: Path) -> bool:
    """Return whether an output is there; an empty folder of frames is not."""
    if path.suffix == FRAMES and path.is_dir():
        return any(path.iterdir())
    return os.path.lexists(path)


def refuse_other_content(jobs: Sequence[Job], there: Collection[Path], existing: Existing) -> None:
    """Raise a ConfigError if what exists is none of our outputs, or what is skipped is of another kind."""
    checked: set[Kind] = set()
    for kind, path in ((kind, path) for job in jobs for kind, path in job.outputs.items() if path in there):
        if path.suffix == FRAMES and path.is_dir():
            others = [entry.name for entry in path.iterdir() if not is_frame(entry)]
            if others:
                raise ConfigError(f"{path} holds more than frames, such as {others[0]}: choose another output")
        elif path.is_dir() or path.suffix == FRAMES:
            what = "a folder" if path.is_dir() else "a file"
            raise ConfigError(f"{path} is {what}: move it, or choose another output")
        elif existing == "skip" and path.suffix == PICTURE and kind not in checked:
            checked.add(kind)
            if (found := kind_of(path)) not in (None, kind):
                raise ConfigError(
                    f"{path} is of kind {found}, not {kind}: choose another output, or existing=overwrite"
                )


def is_frame(path: Path) -> bool:
    """Return whether a file of a ``.frames`` folder is named as one that was written there."""
    return path.suffix == PICTURE and path.stem.isdecimal()
