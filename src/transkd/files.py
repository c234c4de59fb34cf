"""Files written whole or not at all, for every room that writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Give a hidden path beside ``path`` to write to, which becomes ``path`` when the block ends without an error.

    Readers of ``path`` see the old file or the whole new one, never a part. After an error the old file is
    unchanged and the partial one is removed.

    Args:
        path: the file to write; its folder must exist.
        durable: whether the file must also survive a power cut, which takes a flush to the disk.

    Yields:
        The path to write to.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        if durable:
            sync(partial)
        partial.replace(path)
        if durable:
            sync(path.parent)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all; see :func:`replacing`."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
