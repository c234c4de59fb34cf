"""What is wrong with image and label files, as one message."""

from __future__ import annotations

import struct
from pathlib import Path

from PIL import Image

from transkd.errors import DataError

UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for files that it cannot read."""

_POINTER = b"version https://git-lfs"


def refuse_animation(file: Image.Image, what: str, path: Path | str) -> None:
    """Raise a DataError for several frames; cameras put previews behind a JPEG, whose first picture is meant."""
    frames = getattr(file, "n_frames", 1)
    if frames > 1 and file.format != "MPO":
        raise DataError(f"{path}: this {what} holds {frames} frames or pages; save the one that is meant on its own.")


def unreadable(what: str, path: Path | str, error: BaseException) -> DataError:
    """Say why a file cannot be read.

    Args:
        what: "image" or "label".
        path: the file.
        error: what was raised.
    """
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path}: the {what} does not exist.")
    if isinstance(error, PermissionError):
        return DataError(f"{path}: no permission to read this {what}.")
    if isinstance(error, Image.DecompressionBombError):
        return DataError(f"{path}: this {what} is too large to be read ({error}); cut it into tiles.")
    head = _head(path)
    if not head:
        return DataError(f"{path}: cannot read this {what} (truncated to an empty file); copy or download it again.")
    if head.startswith(_POINTER):
        return DataError(f"{path}: cannot read this {what} (a pointer of Git LFS to it); run 'git lfs pull' there.")
    return DataError(
        f"{path}: cannot read this {what} ({error}). The file is truncated or damaged, or no {what}; "
        "copy or download it again."
    )


def _head(path: Path | str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(len(_POINTER))
    except OSError:
        return b"?"
