"""Disks: is there room, and what to say when they do not take what is written."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
