"""Image files to arrays, with Pillow.

OpenCV is not used here: it reads truncated JPEGs as half-grey pictures with no error.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

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
    """Return why a file cannot be read.

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


_QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that exchange height and width
_TURNS = (2, 3, 4, *_QUARTER_TURNS)


def read_image(path: Path | str) -> npt.NDArray[np.uint8]:
    """Read a picture of any common kind as RGB, upright as its EXIF orientation says.

    Args:
        path: a PNG, JPEG, TIFF, ... file; grey, palette, RGBA (less alpha), CMYK and 16-bit are converted.

    Returns:
        (H, W, 3) uint8.

    Raises:
        DataError: if the file is missing, truncated, no image, an animation, too large for Pillow's limit, or of a
            kind with no 8-bit meaning.
    """
    try:
        with Image.open(path) as file:
            refuse_animation(file, "image", path)
            file.load()
            upright = ImageOps.exif_transpose(file)
            if upright.mode.startswith("I"):
                return _from_16_bit(np.asarray(upright), path)
            if upright.mode == "F":
                raise DataError(f"{path}: a floating-point image; save it with 8 bits a channel.")
            return np.array(upright.convert("RGB"))
    except DataError:
        raise
    except UNREADABLE as error:
        raise unreadable("image", path, error) from error


def image_size(path: Path | str) -> tuple[int, int]:
    """Return the height and width that :func:`read_image` gives, from the file's header alone.

    Raises:
        DataError: if the file is missing or no image.
    """
    try:
        with Image.open(path) as file:
            width, height = file.size
            turned = file.getexif().get(ExifTags.Base.Orientation) in _QUARTER_TURNS
    except UNREADABLE as error:
        raise unreadable("image", path, error) from error
    return (width, height) if turned else (height, width)


def is_turned(path: Path | str) -> bool:
    """Return whether an image is shown turned or mirrored, as its EXIF orientation says; False where it has none."""
    try:
        with Image.open(path) as file:
            return file.getexif().get(ExifTags.Base.Orientation, 1) in _TURNS
    except UNREADABLE:
        return False


def _from_16_bit(values: npt.NDArray[np.integer], path: Path | str) -> npt.NDArray[np.uint8]:
    least, most = int(values.min()), int(values.max())
    if least < 0 or most > 65535:
        raise DataError(f"{path}: a 32-bit image; save it with 8 bits a channel.")
    if 0 < most <= 255:
        raise DataError(
            f"{path}: a 16- or 32-bit image whose values end at {most}, which would be black; "
            "save it with 8 bits a channel."
        )
    grey = np.right_shift(values, 8).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
