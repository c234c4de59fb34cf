"""Which files are pictures, and what a folder holds of them."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
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

    Links to folders are followed last, and no folder is listed twice.

    Returns:
        (path below the folder with ``/`` and composed accents, the file's whole path), sorted; as text, since there
        may be very many.
    """
    found: list[tuple[str, str]] = []
    seen: set[tuple[int, int]] = set()
    links = [("", str(folder))]
    while links:
        starts, links = sorted(links), []
        for start in starts:
            folders = [start]
            while folders:
                prefix, path = folders.pop()
                status = os.stat(path)  # noqa: PTH116
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                with os.scandir(path) as entries:
                    for entry in entries:
                        if entry.name.startswith(".") or entry.name in _CLUTTER:
                            continue
                        if is_folder(entry):
                            below = (f"{prefix}{_composed(entry.name, path)}/", entry.path)
                            if not entry.is_symlink():
                                folders.append(below)
                            elif not _leads_up(entry.path):
                                links.append(below)
                        elif entry.name.lower().endswith(IMAGE_SUFFIXES):
                            found.append((prefix + _composed(entry.name, path), entry.path))
    return sorted(found)


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
