"""Archives to folders: nothing outside the folder, no links, no more than the disk takes."""

from __future__ import annotations

import errno
import lzma
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from rich.filesize import decimal

from transkd.errors import DataError


class NoRoomError(DataError):
    """A disk that is too small."""


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise a NoRoomError unless the disk of a folder, which need not exist yet, has room for some bytes."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise NoRoomError(
            f"{what} needs {decimal(needed)}, but the disk of {existing} has {decimal(free)} free: make room, or "
            "choose a folder on another disk with data.root=PATH"
        )


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn the system's errors of writing below a folder into one message."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoomError(
                f"the disk of {folder} is full; what was downloaded is kept: make room, and the same command goes on"
            ) from error
        where = error.filename or folder
        raise DataError(f"cannot write to {where}: {error.strerror or error}") from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


Progress = Callable[[int, int | None], None]
"""Called with what is done and what there is in all, None where that is not known."""


class Watcher(Protocol):
    """Shows lines and progress."""

    def say(self, line: str) -> None:
        """Show a line that stays."""

    def bytes(self, what: str) -> AbstractContextManager[Progress]:
        """Show the progress of something that is counted in bytes."""

    def items(self, what: str) -> AbstractContextManager[Progress]:
        """Show the progress of something that is counted in pieces."""


class Silent:
    """A watcher that shows nothing."""

    def say(self, line: str) -> None:
        """Show nothing."""

    def bytes(self, what: str) -> AbstractContextManager[Progress]:
        """Show nothing."""
        return nullcontext(_nothing)

    def items(self, what: str) -> AbstractContextManager[Progress]:
        """Show nothing."""
        return nullcontext(_nothing)


def _nothing(done: int, total: int | None) -> None:
    """Take no notice."""


_CHUNK = 1 << 20
_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(EOFError, OSError, RuntimeError, NotImplementedError),
)


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    is_file: bool
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, wanted: re.Pattern[str], into: Path, watcher: Watcher) -> None:
    """Unpack the wanted files of a TAR or ZIP archive.

    Args:
        archive: the archive.
        wanted: matches the whole names of the wanted members; its group ``path`` is where they go.
        into: the folder to write to.
        watcher: sees the progress.

    Raises:
        DataError: if it is damaged or no archive, holds nothing that is wanted, links or names that lead out of the
            folder, or more than the disk takes.
        OSError: if it cannot be written.
    """
    try:
        with _members(archive) as members:
            targets = {into / path: member for member in members if (path := _place(member, wanted, archive))}
            if not targets:
                raise DataError(f"{archive} holds nothing of the dataset: it is another archive")
            total, done = sum(member.size for member in targets.values()), 0
            require_space(into, total, f"unpacking {archive.name}")
            with watcher.bytes("unpacking") as progress:
                for target, member in targets.items():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with member.open() as source, target.open("wb") as file:
                        shutil.copyfileobj(source, file, _CHUNK)
                    done += member.size
                    progress(done, total)
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the system: those of gzip and bz2 have none
            raise
        raise DataError(f"{archive} is damaged, or no archive that can be read ({error})") from error


@contextmanager
def _members(archive: Path) -> Iterator[Sequence[_Member]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield [
                _Member(info.filename, info.file_size, _is_plain(info), partial(opened.open, info))
                for info in opened.infolist()
                if not info.is_dir()
            ]
    else:
        with tarfile.open(archive) as tar:
            yield [
                _Member(info.name, info.size, info.isreg(), partial(_tar_file, tar, info))
                for info in tar.getmembers()
                if not info.isdir()
            ]
            while tar.fileobj is not None and tar.fileobj.read(_CHUNK):
                pass  # the checksum of a compressed archive comes last


def _is_plain(info: zipfile.ZipInfo) -> bool:
    kind = stat.S_IFMT(info.external_attr >> 16)
    return kind in (0, stat.S_IFREG)  # 0: packed where files have no such attributes


def _tar_file(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(info)
    assert file is not None, "only regular files are opened"
    return file


def _place(member: _Member, wanted: re.Pattern[str], archive: Path) -> PurePosixPath | None:
    """Return where a member goes; None where it is not wanted."""
    match = wanted.fullmatch(member.name)
    if match is None:
        return None
    path = PurePosixPath(match["path"])
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
        raise DataError(f"{archive}: its member {member.name!r} leads out of the folder; nothing was unpacked")
    if not member.is_file:
        raise DataError(
            f"{archive}: its member {member.name!r} is a link or a device, not a file; nothing was unpacked"
        )
    return path
