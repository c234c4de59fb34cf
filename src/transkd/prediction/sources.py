"""The pictures and videos that an input names: a file, a folder, a pattern or a list."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from transkd.errors import ConfigError

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".mts"),
    *(".m2ts", ".3gp", ".ogv", ".asf", ".mxf", ".vob"),
)
LIST_SUFFIX = ".txt"


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


@dataclass
class Found:
    """What an input holds.

    Attributes:
        sources: pictures and videos, sorted by name; those of a list in its order.
        others: how many files are neither, and were left out.
    """

    sources: list[Source] = field(default_factory=list)
    others: int = 0


def find_sources(text: str, picture_suffixes: Collection[str], *, leave_out: Path | None = None) -> Found:
    """Find the pictures and videos that ``text`` names.

    Args:
        text: a picture, a video, a folder (with those below it; hidden files left out), a pattern such as
            ``scenes/**/*.jpg``, or a ``.txt`` file with a path a line, relative to the list or to the current folder.
            A file that is named by itself or in a list is taken whatever its suffix.
        picture_suffixes: endings of pictures, in small letters.
        leave_out: a folder of outputs, which is not searched if it lies below the input.

    Raises:
        ConfigError: nothing is there, or outputs would lie among the inputs.
    """
    path = Path(os.path.expanduser(text))  # noqa: PTH111 - an unknown user stays as it is
    suffixes = {*picture_suffixes, *VIDEO_SUFFIXES}
    if os.path.isdir(path):  # noqa: PTH112 - of any name, those too long too
        if leave_out is not None and leave_out.resolve() == path.resolve():
            raise ConfigError(f"output={leave_out} is the input folder, where outputs would be inputs the next time")
        found = sort_out(files_below(path), path, suffixes, leave_out)
    elif os.path.lexists(path):
        if path.suffix.lower() == LIST_SUFFIX:
            return read_list(path, suffixes)
        return Found([as_source(path, path.parent, suffixes)])
    elif glob.has_magic(text):
        files = (Path(match) for match in glob.iglob(str(path), recursive=True))  # noqa: PTH207
        found = sort_out((file for file in files if file.is_file()), fixed_part(path), suffixes, leave_out)
    else:
        raise ConfigError(f"input={text}: there is no such file or folder")
    if not found.sources:
        what = "holds" if path.is_dir() else "matches"
        some = f", only {found.others} other files" if found.others else ""
        raise ConfigError(f"input={text}: {what} no picture and no video{some}")
    return found


def as_source(path: Path, top: Path, suffixes: Collection[str]) -> Source:
    """Return a file below ``top`` as a source; only a known suffix is left out of its name."""
    name = path.relative_to(top)
    if name.suffix.lower() in suffixes:
        name = name.with_suffix("")
    return Source(path, name.as_posix(), path.suffix.lower() in VIDEO_SUFFIXES)


def sort_out(files: Iterable[Path], top: Path, suffixes: Collection[str], leave_out: Path | None) -> Found:
    """Tell pictures and videos from other files; those in a folder ``leave_out`` below ``top`` are ignored."""
    found = Found()
    outputs = leave_out.resolve() if leave_out is not None else None
    if outputs is not None and outputs in (top.resolve(), *top.resolve().parents):
        outputs = None
    for file in files:
        folder = file.parent.resolve() if outputs is not None else file.parent
        if outputs in (folder, *folder.parents):
            continue
        if file.suffix.lower() in suffixes:
            found.sources.append(as_source(file, top, suffixes))
        else:
            found.others += 1
    found.sources.sort(key=lambda source: source.name)
    return found


def files_below(top: Path) -> Iterator[Path]:
    """Yield the files below a folder but hidden ones; links to folders are followed, each folder once."""
    seen: set[str] = set()
    for folder, folders, files in os.walk(top, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in files if not name.startswith("."))


def fixed_part(pattern: Path) -> Path:
    """Return the folders of a pattern before its first wildcard."""
    parts = pattern.parts[:-1]
    first = next((number for number, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return Path(*parts[:first])


def read_list(path: Path, suffixes: Collection[str]) -> Found:
    """Return the sources of a list of paths, one a line; empty lines and those that begin with ``#`` are ignored.

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
            files[named if here else path.parent / named] = None
    if not files:
        raise ConfigError(f"input={path}: lists no file; write a path a line")
    if not any(map(os.path.exists, files)):
        raise ConfigError(f"input={path}: none of the {len(files)} files that it lists exists, such as {min(files)}")
    absolute = [Path(os.path.abspath(file)) for file in files]  # noqa: PTH100
    top = Path(os.path.commonpath([file.parent for file in absolute]))
    return Found([as_source(file, top, suffixes) for file in absolute])
