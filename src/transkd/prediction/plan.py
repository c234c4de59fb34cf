"""Which files a prediction reads and writes, known before anything is computed."""

from __future__ import annotations

import glob
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from transkd.errors import ConfigError
from transkd.prediction import EXACT_KINDS, Existing, Kind

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".mts"),
    *(".m2ts", ".3gp", ".ogv", ".asf", ".mxf", ".vob"),
)
LIST_SUFFIX = ".txt"
PICTURE, VIDEO, FRAMES = ".png", ".mp4", ".frames"
PHOTO_SUFFIXES = (".jpg", ".jpeg")
SHOWN = 10
"""So many pairs of inputs that would write one file are listed."""


@dataclass(frozen=True)
class Source:
    """A picture or a video.

    Attributes:
        path: the file.
        name: its path below the requested folder, with ``/`` and without the suffix; outputs are named after it.
        is_video: whether it is a video.
    """

    path: Path
    name: str
    is_video: bool


@dataclass(frozen=True)
class Job:
    """A source and its outputs.

    Attributes:
        source: the picture or video.
        outputs: kind -> file; of a video's ``EXACT_KINDS``, the folder of its frames.
    """

    source: Source
    outputs: Mapping[Kind, Path]


def find_sources(
    text: str, picture_suffixes: Collection[str], *, leave_out: Path | None = None
) -> tuple[list[Source], int]:
    """Find the pictures and videos that ``text`` names.

    Args:
        text: a picture, a video, a folder (with those below it; hidden files left out), a pattern such as
            ``scenes/**/*.jpg``, or a ``.txt`` file with a path a line, relative to the list or to the current folder.
            A file that is named by itself or in a list is taken whatever its suffix.
        picture_suffixes: endings of pictures, in small letters.
        leave_out: a folder of outputs, which is not searched if it lies below the input.

    Returns:
        Pictures and videos, sorted by name, those of a list in its order; and how many files are neither.

    Raises:
        ConfigError: nothing is there, or outputs would lie among the inputs.
    """
    path = Path(os.path.expanduser(text))  # noqa: PTH111 - an unknown user stays as it is
    suffixes = {*picture_suffixes, *VIDEO_SUFFIXES}
    if os.path.isdir(path):  # noqa: PTH112 - of any name, those too long too
        if leave_out is not None and leave_out.resolve() == path.resolve():
            raise ConfigError(f"output={leave_out} is the input folder, where outputs would be inputs the next time")
        top, files = path, list(files_below(path))
    elif os.path.lexists(path):
        files = listed_files(path) if path.suffix.lower() == LIST_SUFFIX else [path]
        top = Path(os.path.commonpath([file.parent for file in files]))
        return [as_source(file, top, suffixes) for file in files], 0
    elif glob.has_magic(text):
        fixed = next(number for number, part in enumerate(path.parts) if glob.has_magic(part))
        top = Path(*path.parts[:fixed])
        files = [file for file in map(Path, glob.iglob(str(path), recursive=True)) if file.is_file()]  # noqa: PTH207
    else:
        raise ConfigError(f"input={text}: there is no such file or folder")
    if leave_out is not None and not top.resolve().is_relative_to(leave_out.resolve()):
        real, outputs = cache(Path.resolve), leave_out.resolve()
        files = [file for file in files if not real(file.parent).is_relative_to(outputs)]
    fitting = [file for file in files if file.suffix.lower() in suffixes]
    others = len(files) - len(fitting)
    if not fitting:
        some = f", only {others} other files" if others else ""
        raise ConfigError(f"input={text}: there is no picture and no video{some}")
    return sorted((as_source(file, top, suffixes) for file in fitting), key=lambda source: source.name), others


def as_source(path: Path, top: Path, suffixes: Collection[str]) -> Source:
    """Return a file below ``top`` as a source; only a known suffix is left out of its name."""
    name = path.relative_to(top)
    if name.suffix.lower() in suffixes:
        name = name.with_suffix("")
    return Source(path, name.as_posix(), path.suffix.lower() in VIDEO_SUFFIXES)


def files_below(top: Path) -> Iterator[Path]:
    """Yield the files below a folder but hidden ones; links to folders are followed, each folder once."""
    seen: set[str] = set()
    for folder, folders, files in os.walk(top, followlinks=True):
        real = os.path.realpath(folder)
        folders[:] = [] if real in seen else sorted(name for name in folders if not name.startswith("."))
        if real not in seen:
            yield from (Path(folder, name) for name in files if not name.startswith("."))
        seen.add(real)


def listed_files(path: Path) -> list[Path]:
    """Return the files of a list of paths, one a line; empty lines and those that begin with ``#`` are ignored.

    Raises:
        ConfigError: it cannot be read, or names nothing that exists.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"input={path}: cannot be read as a list of paths, a line each ({error})") from error
    files: dict[Path, None] = {}
    for line in lines:
        if line and not line.startswith("#"):
            named = Path(os.path.expanduser(line))  # noqa: PTH111
            here = os.path.exists(named) and not os.path.exists(path.parent / named)  # noqa: PTH110 - takes any name
            files[Path(os.path.abspath(named if here else path.parent / named))] = None  # noqa: PTH100
    if not any(map(os.path.exists, files)):
        example = f", such as {min(files)}" if files else "; write a path a line"
        raise ConfigError(f"input={path}: none of the {len(files)} files that it lists exists{example}")
    return list(files)


def plan_outputs(sources: Sequence[Source], output: Path, kinds: Sequence[Kind], existing: Existing) -> list[Job]:
    """Name every output: ``output/NAME.png`` for one kind, ``output/KIND/NAME.png`` for several.

    Videos become ``NAME.mp4``, and a folder ``NAME.frames`` of PNG files for ``EXACT_KINDS``. Where there is one
    source and one kind, ``output`` may be the file itself.

    Args:
        sources: what is read.
        output: the folder to write to, or the file.
        kinds: what is drawn.
        existing: what to do where an output exists.

    Returns:
        Sources with the outputs to write, in order, without sources that have all of theirs.

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
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        raise ConfigError(f"output={folder}: {nearest} is not a folder that can be written to")
    paths = [path for job in jobs for path in job.outputs.values()]
    present = {path for path in paths if os.path.lexists(path) and not (is_frames(path) and not any(path.iterdir()))}
    if present and existing == "error":
        raise ConfigError(
            f"{len(present)} of {len(paths)} outputs exist already, such as {min(present)}: existing=skip makes the "
            "others, overwrite=true replaces them, or choose another output"
        )
    refuse_other_content(present)
    if existing == "skip":
        kept = [{kind: path for kind, path in job.outputs.items() if path not in present} for job in jobs]
        jobs = [Job(job.source, outputs) for job, outputs in zip(jobs, kept, strict=True) if outputs]
    return jobs


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
    by_output: defaultdict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        by_output[str(next(iter(job.outputs.values()))).casefold()].append(job)
    lines = [
        f"  {' and '.join(str(job.source.path) for job in several)} -> {next(iter(several[0].outputs.values()))}"
        for several in by_output.values()
        if len(several) > 1
    ]
    if lines:
        head = "inputs would write the same file; rename them, or predict some of them ('FOLDER/*.jpg') at a time:"
        more = [f"  and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        raise ConfigError("\n".join([head, *lines[:SHOWN], *more]))
    real = cache(Path.resolve)
    inputs = {real(job.source.path.parent) / job.source.path.name for job in jobs}
    for path in (path for job in jobs for path in job.outputs.values()):
        if real(path.parent) / path.name in inputs:
            raise ConfigError(f"{path} is an input, which is never overwritten: choose another output")


def is_frames(path: Path) -> bool:
    """Return whether a path is a folder of frames."""
    return path.suffix == FRAMES and path.is_dir()


def refuse_other_content(present: Iterable[Path]) -> None:
    """Raise a ConfigError if what exists is none of our outputs."""
    for path in present:
        if path.is_dir() != (path.suffix == FRAMES):
            raise ConfigError(
                f"{path} is {'a folder' if path.is_dir() else 'a file'}: move it, or choose another output"
            )
        for entry in path.iterdir() if is_frames(path) else ():
            if not (entry.suffix == PICTURE and entry.stem.isdecimal()):
                raise ConfigError(f"{path} holds more than frames, such as {entry.name}: choose another output")
