"""Which files are pictures, and what a folder holds of them."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from pathlib import Path

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
"""In any letter case. Of two files that differ in suffix alone, the layouts with fixed names take the first here."""


def find_pictures(folder: Path) -> list[tuple[str, str]]:
    """List the pictures in a folder and those below it, hidden ones left out; no file is opened.

    Returns:
        (path below the folder with ``/`` and composed accents, the file's whole path), sorted; as text, since there
        may be very many.
    """
    found: list[tuple[str, str]] = []
    _walk(str(folder), "", found)
    return sorted(found)


def suffixes_in(folder: Path) -> str:
    """Say what files lie directly in a folder: ``3 .npy, 1 .txt``."""
    files = (entry.name for entry in os.scandir(folder) if entry.is_file())
    counts = Counter(os.path.splitext(name)[1].lower() or name for name in files)  # noqa: PTH122
    return ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(4)) or "none"


def _walk(folder: str, prefix: str, found: list[tuple[str, str]]) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            if name.lower().endswith(IMAGE_SUFFIXES) and not entry.is_dir():
                composed = name if name.isascii() else unicodedata.normalize("NFC", name)
                found.append((prefix + composed, entry.path))
            elif entry.is_dir():
                _walk(entry.path, f"{prefix}{name}/", found)
