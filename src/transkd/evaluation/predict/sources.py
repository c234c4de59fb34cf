"""What to predict: the pictures and videos that a path, a pattern or a list names."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

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
        name: its path below what was asked for, with ``/`` and without the suffix: what outputs are named after.
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
        leave_out: a folder of outputs, in which nothing is looked for if it lies below the input.

    Raises:
        ConfigError: nothing is there, or outputs would lie among the inputs.
    """
    path = Path(os.path.expanduser(text))  # noqa: PTH111 - an unknown user stays as it is
    if not glob.has_magic(text) and not os.path.lexists(path):  # of any name, those too long too
        raise ConfigError(f"input={text}: there is no such file or folder")
    if path.is_dir():
        if leave_out is not None and leave_out.resolve() == path.resolve():
            raise ConfigError(f"output={leave_out} is the input folder, where outputs would be inputs the next time")
        found = _sorted_out(_files_below(path, leave_out), path, picture_suffixes)
    elif path.suffix.lower() == LIST_SUFFIX and path.is_file():
        return _listed(path, picture_suffixes)
    elif path.exists():
        return Found([_source(path, path.parent, picture_suffixes)])
    elif glob.has_magic(text):
        below = _below(leave_out, _fixed_part(path))
        files = (Path(match) for match in sorted(glob.iglob(str(path), recursive=True)))  # noqa: PTH207
        kept = (file for file in files if file.is_file() and not below(file))
        found = _sorted_out(kept, _fixed_part(path), picture_suffixes)
    else:
        raise ConfigError(f"input={text}: there is no such file or folder")
    if not found.sources:
        what = "holds" if path.is_dir() else "matches"
        some = f", only {found.others} other files" if found.others else ""
        raise ConfigError(f"input={text}: {what} no picture and no video{some}")
    return found


def is_video(path: PurePath) -> bool:
    """Return whether a file's ending says that it is a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def _source(path: Path, top: Path, picture_suffixes: Collection[str]) -> Source:
    name = path.relative_to(top)
    if name.suffix.lower() in {*picture_suffixes, *VIDEO_SUFFIXES}:
        name = name.with_suffix("")
    return Source(path, name.as_posix(), is_video(path))


def _sorted_out(files: Iterable[Path], top: Path, picture_suffixes: Collection[str]) -> Found:
    found = Found()
    known = {*picture_suffixes, *VIDEO_SUFFIXES}
    for file in files:
        if file.suffix.lower() in known:
            found.sources.append(_source(file, top, picture_suffixes))
        else:
            found.others += 1
    found.sources.sort(key=lambda source: source.name)
    return found


def _files_below(top: Path, leave_out: Path | None) -> Iterator[Path]:
    below = _below(leave_out, top)
    seen: set[str] = set()
    for folder, folders, files in os.walk(top, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen or below(Path(folder)):
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in files if not name.startswith("."))


def _below(leave_out: Path | None, top: Path) -> _Below:
    if leave_out is None or leave_out.resolve() in (top.resolve(), *top.resolve().parents):
        return _Below(None)
    return _Below(leave_out.resolve())


@dataclass(frozen=True)
class _Below:
    """Whether a path is a folder or lies below it."""

    top: Path | None

    def __call__(self, path: Path) -> bool:
        if self.top is None:
            return False
        real = path.resolve()
        return real == self.top or self.top in real.parents


def _fixed_part(pattern: Path) -> Path:
    """Return the folders of a pattern before its first wildcard."""
    fixed: list[str] = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)


def _listed(path: Path, picture_suffixes: Collection[str]) -> Found:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"input={path}: cannot be read as a list of paths, a line each ({error})") from error
    paths = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if binary := next((line for line in paths if "\0" in line), None):
        raise ConfigError(f"input={path}: is no list of paths, a line each: {binary[:40]!r} stands there")
    files = list(dict.fromkeys(_beside(path, line) for line in paths))
    if not files:
        raise ConfigError(f"input={path}: lists no file; write a path a line")
    if not any(map(os.path.exists, files)):
        raise ConfigError(f"input={path}: none of the {len(files)} files that it lists exists, such as {files[0]}")
    top = Path(os.path.commonpath([os.path.abspath(file.parent) for file in files]))  # noqa: PTH100
    absolute = (Path(os.path.abspath(file)) for file in files)  # noqa: PTH100
    return Found([_source(file, top, picture_suffixes) for file in absolute])


def _beside(list_file: Path, line: str) -> Path:
    path = Path(os.path.expanduser(line))  # noqa: PTH111
    beside = list_file.parent / path
    return beside if os.path.exists(beside) or not os.path.exists(path) else path  # noqa: PTH110 - takes any name
