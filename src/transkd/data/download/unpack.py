"""Archives to folders, and what shows the progress."""

from __future__ import annotations

import lzma
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
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


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise a DataError unless the disk of a folder, which need not exist yet, has room for some bytes."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise DataError(
            f"{what} needs {decimal(needed)}, but the disk of {existing} has {decimal(free)} free: make room, or "
            "choose a folder on another disk with data.root=PATH"
        )


class _Member(NamedTuple):
    name: str
    size: int
    open: Callable[[], IO[bytes] | None]


def unpack(archive: Path, wanted: re.Pattern[str], into: Path, watcher: Watcher) -> None:
    """Unpack a TAR or ZIP archive, but for links and devices.

    Args:
        archive: the archive.
        wanted: matches the whole names of the wanted members; its group ``path`` is where they go.
        into: the folder to write to.
        watcher: sees the progress.

    Raises:
        DataError: if it is damaged or no archive, holds nothing that is wanted, or names that lead out of the folder.
    """
    try:
        with _members(archive) as members:
            matches = [(member, match) for member in members if (match := wanted.fullmatch(member.name))]
            targets = {(into / match["path"]).resolve(): member for member, match in matches}
            for target, member in targets.items():
                if not target.is_relative_to(into.resolve()):
                    raise DataError(f"{archive}: its member {member.name!r} leads out of the folder {into}")
            if not targets:
                raise DataError(f"{archive} holds nothing of the dataset: it is another archive")
            total, done = sum(member.size for member in targets.values()), 0
            with watcher.bytes("unpacking") as progress:
                for target, member in targets.items():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    source = member.open()
                    assert source is not None, "only regular files are opened"
                    with source, target.open("wb") as file:
                        shutil.copyfileobj(source, file, 1 << 20)
                    done += member.size
                    progress(done, total)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError) as error:
        raise DataError(
            f"{archive} is damaged, or not a readable archive ({error}): remove it, and give the same command"
        ) from error


@contextmanager
def _members(archive: Path) -> Iterator[list[_Member]]:
    """Open an archive and list its regular files."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            files = [info for info in opened.infolist() if not info.is_dir()]
            yield [_Member(info.filename, info.file_size, partial(opened.open, info)) for info in files]
    else:
        with tarfile.open(archive) as tar:
            yield [_Member(info.name, info.size, partial(tar.extractfile, info)) for info in tar if info.isreg()]
