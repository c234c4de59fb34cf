"""Image and label files to arrays, with Pillow.

OpenCV is not used here: it reads truncated JPEGs as half-grey pictures with no error, and loses palette ids.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from transkd.errors import DataError

_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
_SCALED_GREYS = ("L;2", "L;4")


def read_image(path: Path | str) -> npt.NDArray[np.uint8]:
    """Read a picture of any common kind as RGB, upright as its EXIF orientation says.

    Args:
        path: a PNG, JPEG, TIFF, ... file; grey, palette, RGBA (less alpha), CMYK and 16-bit are converted.

    Returns:
        (H, W, 3) uint8.

    Raises:
        DataError: if the file is missing, truncated, no image, or of a kind with no 8-bit meaning.
    """
    try:
        with Image.open(path) as file:
            file.load()
            upright = ImageOps.exif_transpose(file)
            if upright.mode.startswith("I"):
                return _from_16_bit(np.asarray(upright), path)
            if upright.mode == "F":
                raise DataError(f"{path}: a floating-point image; save it with 8 bits a channel.")
            return np.array(upright.convert("RGB"))
    except DataError:
        raise
    except _UNREADABLE as error:
        raise _unreadable("image", path, error) from error


def read_label(path: Path | str) -> npt.NDArray[np.uint8]:
    """Read a label file as the ids it holds; palette files keep their indices.

    Args:
        path: a PNG (or another lossless format) with one id a pixel.

    Returns:
        (H, W) uint8.

    Raises:
        DataError: if the file is missing, truncated, no image, lossy, a colour picture, holds ids above 255,
            or has so few bits a pixel that its ids are ambiguous.
    """
    try:
        with Image.open(path) as file:
            depth = _grey_depth(file)
            lossy = file.format in ("JPEG", "MPO")
            file.load()
            ids = np.array(file)
            mode = file.mode
    except _UNREADABLE as error:
        raise _unreadable("label", path, error) from error
    if lossy:
        raise DataError(f"{path}: a label stored as JPEG, which does not keep ids; use the original PNG.")
    if mode in ("L", "P") and depth is None:
        return ids.astype(np.uint8, copy=False)
    if mode.startswith("I"):
        return _from_wide_ids(ids, path)
    if depth is not None:
        raise DataError(
            f"{path}: a {depth}-bit greyscale label, whose ids programs read differently; "
            "save it with 8 bits a pixel or with a palette."
        )
    raise DataError(
        f"{path}: a label must hold one id a pixel, but this is a {mode} picture of colours; "
        "use the files with ids (for Cityscapes *_labelIds.png, not *_color.png)."
    )


def _grey_depth(file: Image.Image) -> int | None:
    """Bits a pixel of a grey file that Pillow rescales to 8 bits (15 becomes 255), else None."""
    if file.mode == "1":
        return 1
    tiles = getattr(file, "tile", [])
    arguments = tiles[0][3] if tiles else None
    raw_mode = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return int(raw_mode[2:]) if raw_mode in _SCALED_GREYS else None


def _from_16_bit(values: npt.NDArray[np.generic], path: Path | str) -> npt.NDArray[np.uint8]:
    wide = values.astype(np.int64)
    if wide.min() < 0 or wide.max() > 65535:
        raise DataError(f"{path}: a 32-bit image; save it with 8 bits a channel.")
    grey = (wide >> 8).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _from_wide_ids(ids: npt.NDArray[np.generic], path: Path | str) -> npt.NDArray[np.uint8]:
    wide = ids.astype(np.int64)
    if wide.min() < 0 or wide.max() > 255:
        raise DataError(
            f"{path}: 16-bit label ids from {wide.min()} to {wide.max()}; ids must be 0 to 255 "
            "(instance files hold such numbers: use the files with class ids)."
        )
    return wide.astype(np.uint8)


def _unreadable(what: str, path: Path | str, error: BaseException) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path}: the {what} does not exist.")
    if isinstance(error, PermissionError):
        return DataError(f"{path}: no permission to read this {what}.")
    return DataError(
        f"{path}: cannot read this {what} ({error}). The file is truncated or damaged, or no {what}; "
        "copy or download it again."
    )
