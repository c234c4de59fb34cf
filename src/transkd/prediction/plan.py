"""Which files a prediction writes, found out before anything is computed."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePath
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from transkd.errors import ConfigError, DataError
from transkd.evaluation.pictures import Pixels
from transkd.prediction.colours import Colour

PNG_LEVEL = 3
"""zlib's level: a third of the time of Pillow's default for a few per cent more bytes."""
JPEG_QUALITY = 92
KIND_KEY = "transkd-predict"
"""PNG files hold the kind of output under this key."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


class FullError(DataError):
    """A disk that takes nothing more: full, over quota, or no longer to be written to."""


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a file or folder to write to, hidden and beside ``path``, that becomes ``path`` if all goes well.

    Raises:
        DataError: ``path`` cannot be written.
        FullError: nothing can.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden = Path(tempfile.mkdtemp(prefix=f".{path.stem[:40]}-", suffix=".partial", dir=path.parent))
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        partial = hidden / path.name
        yield partial
        if partial.is_dir() and path.is_dir():
            path.replace(hidden / "replaced")
        partial.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _unwritable(path: Path, error: OSError) -> DataError:
    kind = FullError if error.errno in _FULL else DataError
    return kind(f"{path} cannot be written: {error.strerror or error}")


def write_rgb(pixels: Pixels, kind: str, path: Path) -> None:
    """Write a picture (H, W, 3) as the PNG or JPEG that its name says."""
    _save(Image.fromarray(pixels), kind, path)


def write_confidence(pixels: npt.NDArray[np.uint8], path: Path) -> None:
    """Write confidences (H, W), 0 to 255, as a grey PNG."""
    _save(Image.fromarray(pixels), "confidence", path)


def write_ids(ids: npt.NDArray[np.integer], colours: Sequence[Colour], path: Path) -> None:
    """Write class ids (H, W) as a PNG with a palette: programs read the ids, viewers show the colours."""
    picture = Image.fromarray(ids.astype(np.uint8))
    palette = [value for colour in colours for value in colour]
    picture.putpalette(palette + [0] * (768 - len(palette)))  # a shorter one makes Pillow write fewer bits a pixel
    _save(picture, "ids", path)


def kind_of(path: Path) -> str | None:
    """Return the kind of output that a PNG file says it is, None where it does not say."""
    try:
        with Image.open(path) as picture:
            return picture.info.get(KIND_KEY)
    except (OSError, SyntaxError, ValueError):
        return None


def _save(picture: Image.Image, kind: str, path: Path) -> None:
    if path.suffix.lower() == ".png":
        note = PngInfo()
        note.add_text(KIND_KEY, kind)
        picture.save(path, format="PNG", compress_level=PNG_LEVEL, pnginfo=note)
    else:
        picture.save(path, format="JPEG", quality=JPEG_QUALITY)


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
