"""Which files a prediction writes, found out before anything is computed."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from transkd.errors import ConfigError
from transkd.evaluation.predict.files import kind_of
from transkd.evaluation.predict.sources import VIDEO_SUFFIXES, Source

Kind = Literal["overlay", "colour", "ids", "compare", "confidence"]
Existing = Literal["error", "skip", "overwrite"]
KINDS: tuple[Kind, ...] = get_args(Kind)
EXACT_KINDS: tuple[Kind, ...] = ("ids", "confidence")
"""Kinds whose pixels are numbers: of a video, they are a folder with a PNG a frame, since videos lose them."""

PICTURE, VIDEO, FRAMES = ".png", ".mp4", ".frames"
_PHOTO_SUFFIXES = (".jpg", ".jpeg")


@dataclass(frozen=True)
class Job:
    """A source and what is made of it.

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
        jobs: what is made, in order.
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
    single = _single_file(sources, output, kinds)
    jobs = [Job(source, single or _outputs(source, output, kinds)) for source in sources]
    _refuse_collisions(jobs)
    _refuse_sources(jobs)
    _refuse_unwritable(output if single is None else output.parent)
    there = {path for job in jobs for path in job.outputs.values() if _exists(path)}
    if there and existing == "error":
        total = sum(len(job.outputs) for job in jobs)
        raise ConfigError(
            f"{len(there)} of {total} outputs exist already, such as {min(there)}: existing=skip makes the others, "
            "overwrite=true replaces them, or choose another output"
        )
    if existing == "skip":
        _refuse_other_content(jobs, there)
        jobs = [left for job in jobs if (left := _without(job, there)).outputs]
    for path in there:
        _refuse_other_kind(path)
    return Plan(jobs, len(sources) - len(jobs))


def _without(job: Job, there: Collection[Path]) -> Job:
    return Job(job.source, {kind: path for kind, path in job.outputs.items() if path not in there})


def is_frame(name: str) -> bool:
    """Return whether a file of a ``.frames`` folder is one that was written there."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122
    return suffix == PICTURE and stem.isdecimal()


def _outputs(source: Source, output: Path, kinds: Sequence[Kind]) -> dict[Kind, Path]:
    folders = {kind: output / kind if len(kinds) > 1 else output for kind in kinds}
    return {kind: folder / f"{source.name}{_suffix(source, kind)}" for kind, folder in folders.items()}


def _suffix(source: Source, kind: Kind) -> str:
    if not source.is_video:
        return PICTURE
    return FRAMES if kind in EXACT_KINDS else VIDEO


def _single_file(sources: Sequence[Source], output: Path, kinds: Sequence[Kind]) -> dict[Kind, Path] | None:
    """Return ``output`` as the only file, where it is named as one."""
    suffix = output.suffix.lower()
    if output.is_dir() or suffix not in (PICTURE, *_PHOTO_SUFFIXES, *VIDEO_SUFFIXES):
        return None
    if len(sources) > 1 or len(kinds) > 1:
        many = f"{len(sources)} inputs" if len(sources) > 1 else f"{len(kinds)} kinds"
        raise ConfigError(f"output={output} is one file, for {many}: give a folder")
    source, kind = sources[0], kinds[0]
    fitting = {_suffix(source, kind)}
    if kind in ("overlay", "compare") and not source.is_video:
        fitting |= set(_PHOTO_SUFFIXES)
    if suffix not in fitting:
        what = f"{kind} of a {'video' if source.is_video else 'picture'}"
        raise ConfigError(f"output={output}: {what} is written as {' or '.join(sorted(fitting))}")
    return {kind: output}


def _refuse_collisions(jobs: Sequence[Job]) -> None:
    makers: defaultdict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        makers[str(next(iter(job.outputs.values()))).casefold()].append(job)
    shared = [several for several in makers.values() if len(several) > 1]
    if not shared:
        return
    lines = [
        f"  {' and '.join(str(job.source.path) for job in several)} -> {next(iter(several[0].outputs.values()))}"
        for several in shared
    ]
    raise ConfigError(
        "\n".join(
            [
                "inputs would write the same file; rename them, or predict some of them ('FOLDER/*.jpg') at a time:",
                *lines[:10],
                *([f"  and {len(lines) - 10} more"] if len(lines) > 10 else []),
            ]
        )
    )


def _refuse_sources(jobs: Sequence[Job]) -> None:
    sources = {_entry(job.source.path) for job in jobs}
    for job in jobs:
        for path in job.outputs.values():
            if _entry(path) in sources:
                raise ConfigError(f"{path} is an input, which is never overwritten: choose another output")


def _entry(path: Path) -> str:
    """Return the folder entry that a path is, so that two names of one entry are equal."""
    return os.path.join(_real(str(path.parent)), path.name)  # noqa: PTH118


@cache
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def _exists(path: Path) -> bool:
    if path.suffix == FRAMES and path.is_dir():
        return any(path.iterdir())
    return os.path.lexists(path)


def _refuse_other_content(jobs: Iterable[Job], there: Collection[Path]) -> None:
    """Raise a ConfigError if the first picture of a kind that is there is of another kind."""
    looked_at: set[Kind] = set()
    for job in jobs:
        for kind, path in job.outputs.items():
            if path not in there or kind in looked_at or path.suffix != PICTURE:
                continue
            looked_at.add(kind)
            if (found := kind_of(path)) not in (None, kind):
                raise ConfigError(
                    f"{path} is of kind {found}, not {kind}: choose another output, or existing=overwrite"
                )


def _refuse_other_kind(path: Path) -> None:
    if path.suffix == FRAMES and path.is_dir():
        others = [entry.name for entry in path.iterdir() if not is_frame(entry.name)]
        if others:
            raise ConfigError(f"{path} holds more than frames, such as {others[0]}: choose another output")
    elif path.is_dir() or path.suffix == FRAMES:
        raise ConfigError(f"{path} is {'a folder' if path.is_dir() else 'a file'}: move it, or choose another output")


def _refuse_unwritable(folder: Path) -> None:
    nearest = next(parent for parent in _upwards(folder.absolute()) if os.path.lexists(parent))
    if not nearest.is_dir():
        raise ConfigError(f"output={folder}: {nearest} is a file, not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigError(f"output={folder}: no permission to write to {nearest}")


def _upwards(path: Path) -> Iterable[Path]:
    return (path, *path.parents)
