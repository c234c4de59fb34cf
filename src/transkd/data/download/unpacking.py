"""Archives to folders: nothing outside the folder, no links, no more than the disk takes."""

from __future__ import annotations

import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from transkd.data.download.disk import require_space
from transkd.data.download.watching import Watcher
from transkd.errors import DataError

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
