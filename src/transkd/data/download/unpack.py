"""Archives to folders: nothing outside the folder, no links, no more than the disk takes."""

from __future__ import annotations

import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, Protocol

from rich.filesize import decimal

from transkd.errors import DataError

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
        return nullcontext(lambda *_: None)

    def items(self, what: str) -> AbstractContextManager[Progress]:
        """Show nothing."""
        return self.bytes(what)


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


_CHUNK = 1 << 20
_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(EOFError, OSError, RuntimeError, NotImplementedError),
)


class _Member(NamedTuple):
    name: str
    size: int
    is_file: bool
    open: Callable[[], IO[bytes] | None]


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
            matches = [(member, match) for member in members if (match := wanted.fullmatch(member.name))]
            targets = {into / _safe_path(member, match["path"], archive): member for member, match in matches}
            if not targets:
                raise DataError(f"{archive} holds nothing of the dataset: it is another archive")
            total, done = sum(member.size for member in targets.values()), 0
            require_space(into, total, f"unpacking {archive.name}")
            with watcher.bytes("unpacking") as progress:
                for target, member in targets.items():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    source = member.open()
                    assert source is not None, "only regular files are opened"
                    with source, target.open("wb") as file:
                        shutil.copyfileobj(source, file, _CHUNK)
                    done += member.size
                    progress(done, total)
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the system: those of gzip and bz2 have none
            raise
        raise DataError(f"{archive} is damaged, or not a readable archive ({error})") from error


@contextmanager
def _members(archive: Path) -> Iterator[list[_Member]]:
    """Open an archive and list its members but for folders."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            # A mode of 0 comes from systems where files have none.
            yield [
                _Member(
                    i.filename,
                    i.file_size,
                    stat.S_IFMT(i.external_attr >> 16) in (0, stat.S_IFREG),
                    partial(opened.open, i),
                )
                for i in opened.infolist()
                if not i.is_dir()
            ]
    else:
        with tarfile.open(archive) as tar:
            yield [
                _Member(i.name, i.size, i.isreg(), partial(tar.extractfile, i))
                for i in tar.getmembers()
                if not i.isdir()
            ]
            while tar.fileobj is not None and tar.fileobj.read(_CHUNK):
                pass  # the checksum of a compressed archive comes last


def _safe_path(member: _Member, name: str, archive: Path) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
        raise DataError(f"{archive}: its member {member.name!r} leads out of the folder; nothing was unpacked")
    if not member.is_file:
        raise DataError(
            f"{archive}: its member {member.name!r} is a link or a device, not a file; nothing was unpacked"
        )
    return path
