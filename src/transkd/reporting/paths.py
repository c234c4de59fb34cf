"""Questions to the file system that have an answer for any text, where pathlib raises.

It does for a name that is too long, for a home of a user whom there is not, and below folders that may not be read.
"""

from __future__ import annotations

import os
from pathlib import Path


def at_home(text: str) -> Path:
    """Return a path with ``~`` written out where there is such a home."""
    return Path(os.path.expanduser(text))  # noqa: PTH111


def exists(path: Path) -> bool:
    """Return whether there is such a file or folder, as far as one may look."""
    return os.path.exists(path)  # noqa: PTH110


def is_folder(path: Path) -> bool:
    """Return whether there is such a folder, as far as one may look."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: Path) -> bool:
    """Return whether there is such a file, as far as one may look."""
    return os.path.isfile(path)  # noqa: PTH113
