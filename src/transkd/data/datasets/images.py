"""Which files are pictures, and what a folder holds of them."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from transkd.errors import DataError

IMAGE_SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jfif",
    ".bmp",
    ".tif",
    ".tiff",
    ".webp",
    ".gif",
    ".ppm",
    ".pgm",
    ".jp2",
    ".avif",
)
"""In any letter case."""

_CLUTTER = ("__MACOSX", "@eaDir", "Thumbs.db")
"""What archives and file servers leave behind."""


def find_pictures(folder: Path) -> list[tuple[str, str]]:
    """List the pictures in a folder and those below it, hidden ones left out; no file is opened.

    Links to folders are followed, unless they lead to one that is listed anyway.

    Returns:
        (path below the folder with ``/`` and composed accents, the file's whole path), sorted; as text, since there
        may be very many.
    """
    return sorted(_walk(str(folder), "", set()))


def suffixes_in(folder: Path) -> str:
    """Describe what files lie directly in a folder: ``3 .npy, 1 .txt``."""
    files = (entry.name for entry in os.scandir(folder) if entry.is_file())
    counts = Counter(os.path.splitext(name)[1].lower() or name for name in files)  # noqa: PTH122
    found = ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(4)) or "none"
    return f"{found} (read are {', '.join(IMAGE_SUFFIXES)})"


def picture_stems(folder: Path) -> set[str]:
    """Name the pictures directly in a folder, without their suffixes."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not is_folder(entry)]
    return {name.rpartition(".")[0] for name in names if name.lower().endswith(IMAGE_SUFFIXES) and name[0] != "."}


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or a link to one; a link that leads in a circle is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _walk(folder: str, prefix: str, seen: set[tuple[int, int]]) -> Iterator[tuple[str, str]]:
    """Return (name, path) of each picture; what links lead to comes last, and no folder twice."""
    links: list[tuple[str, str]] = []
    yield from _walk_unlinked(folder, prefix, seen, links)
    while links:
        rest: list[tuple[str, str]] = []
        for name, path in sorted(links):
            yield from _walk_unlinked(path, name, seen, rest)
        links = rest


def _walk_unlinked(
    folder: str, prefix: str, seen: set[tuple[int, int]], links: list[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    facts = os.stat(folder)  # noqa: PTH116
    if (facts.st_dev, facts.st_ino) in seen:
        return
    seen.add((facts.st_dev, facts.st_ino))
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(".") or name in _CLUTTER:
                continue
            if name.lower().endswith(IMAGE_SUFFIXES) and not is_folder(entry):
                yield prefix + _composed(name, folder), entry.path
            elif is_folder(entry):
                below = f"{prefix}{_composed(name, folder)}/"
                if not entry.is_symlink():
                    yield from _walk_unlinked(entry.path, below, seen, links)
                elif not _leads_up(entry.path):
                    links.append((below, entry.path))


def _composed(name: str, folder: str) -> str:
    """Return a name with composed accents, or raise a DataError if it is no text."""
    if name.isascii():
        return name
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{folder}: the name {os.fsencode(name)!r} is not in UTF-8; rename it.") from error
    return unicodedata.normalize("NFC", name)


def _leads_up(link: str) -> bool:
    """Return whether a link leads to a folder that it lies in, which holds more than what is looked for."""
    target = os.path.realpath(link)
    inside = os.path.realpath(os.path.dirname(link))  # noqa: PTH120
    return os.path.commonpath([target, inside]) == target
