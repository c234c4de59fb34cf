"""Image and label files to arrays, with Pillow.

OpenCV is not used here: it reads truncated JPEGs as half-grey pictures with no error, and loses palette ids.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

from transkd.errors import DataError

_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
_LFS_POINTER = b"version https://git-lfs"
_QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that exchange height and width

# Lossy compression, and in PPM and PGM files a largest value by which Pillow stretches the ids.
_CHANGED_BY_FORMAT = {"JPEG", "MPO", "JPEG2000", "AVIF", "WEBP", "PPM"}
_CHANGED_BY_COMPRESSION = {"jpeg", "tiff_jpeg", "webp", "jpeg2000"}  # of a TIFF


@contextmanager
def _opened(path: Path | str, what: str) -> Iterator[Image.Image]:
    """Open an image file, and turn what Pillow raises into a DataError that names it."""
    try:
        with Image.open(path) as file:
            yield file
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path}: the {what} does not exist.") from error
    except PermissionError as error:
        raise DataError(f"{path}: no permission to read this {what}.") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: this {what} is too large to be read ({error}); cut it into tiles.") from error
    except _UNREADABLE as error:
        text = f"({error}). The file is truncated or damaged, or no {what}; copy or download it again."
        with suppress(OSError), Path(path).open("rb") as content:
            if content.read(len(_LFS_POINTER)) == _LFS_POINTER:
                text = "(a pointer of Git LFS to it); run 'git lfs pull' there."
        raise DataError(f"{path}: cannot read this {what} {text}") from error


def _loaded(file: Image.Image, what: str, path: Path | str) -> Image.Image:
    """Return the picture of a file, in its EXIF orientation, or raise a DataError for several frames."""
    frames = getattr(file, "n_frames", 1)
    if frames > 1 and file.format != "MPO":  # cameras put previews behind a JPEG, whose first picture is meant
        raise DataError(f"{path}: this {what} holds {frames} frames or pages; save the one that is meant on its own.")
    file.load()
    return ImageOps.exif_transpose(file)


def read_image(path: Path | str) -> npt.NDArray[np.uint8]:
    """Read a picture of any common kind as RGB (H, W, 3) uint8, in its EXIF orientation.

    Grey, palette, RGBA (less alpha), CMYK and 16-bit files are converted.

    Raises:
        DataError: if the file is missing, truncated, no image, an animation, too large for Pillow's limit, or of a
            kind with no 8-bit meaning.
    """
    with _opened(path, "image") as file:
        upright = _loaded(file, "image", path)
        if upright.mode == "F":
            raise DataError(f"{path}: a floating-point image; save it with 8 bits a channel.")
        if not upright.mode.startswith("I"):
            return np.array(upright.convert("RGB"))
        values = np.asarray(upright)
    most = int(values.max())
    if values.min() < 0 or most > 65535 or 0 < most <= 255:
        raise DataError(
            f"{path}: a 16- or 32-bit image whose values end at {most} of 65535, which would be black or cut off; "
            "save it with 8 bits a channel."
        )
    return np.repeat(np.right_shift(values, 8).astype(np.uint8)[:, :, None], 3, axis=2)


def image_size(path: Path | str) -> tuple[int, int]:
    """Return the height and width that :func:`read_image` gives, from the file's header alone.

    Raises:
        DataError: if the file is missing or no image.
    """
    with _opened(path, "image") as file:
        width, height = file.size
        turned = file.getexif().get(ExifTags.Base.Orientation) in _QUARTER_TURNS
    return (width, height) if turned else (height, width)


def is_turned(path: Path | str) -> bool:
    """Return whether an image is rotated or mirrored by its EXIF orientation."""
    with _opened(path, "image") as file:
        return file.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)


class Mask(NamedTuple):
    """What a mask file holds.

    Attributes:
        pixels: (H, W) uint8 ids, or (H, W, 3) uint8 colours.
        palette: (256, 3) uint8, the colours that a palette file gives its ids; None where it has no palette.
    """

    pixels: npt.NDArray[np.uint8]
    palette: npt.NDArray[np.uint8] | None = None


def read_label(path: Path | str) -> npt.NDArray[np.uint8]:
    """Read a label file as the ids (H, W) uint8 that it holds; palette files keep their indices.

    Raises:
        DataError: as :func:`read_mask`, and if the file is a colour picture.
    """
    mask = read_mask(path)
    if mask.pixels.ndim == 3:
        raise DataError(
            f"{path}: a label must hold one id a pixel, but this is an RGB picture of colours; "
            "use the files with ids (for Cityscapes *_labelIds.png, not *_color.png)."
        )
    return mask.pixels


def read_mask(path: Path | str) -> Mask:
    """Read a mask of ids, with or without a palette, or of colours, in its EXIF orientation.

    Raises:
        DataError: if the file is missing, truncated, no image, lossy, an animation, partly transparent, holds ids
            above 255, or has so few bits a pixel that its ids are ambiguous.
    """
    with _opened(path, "label") as file:
        file_format, compression, packing = file.format or "", file.info.get("compression"), _packing(file)
        upright = _loaded(file, "label", path)
        pixels = np.array(upright)
        mode = upright.mode
        palette = upright.getpalette("RGB") if mode == "P" else None
    if file_format in _CHANGED_BY_FORMAT or (file_format == "TIFF" and compression in _CHANGED_BY_COMPRESSION):
        kind = f"TIFF with {compression} compression" if file_format == "TIFF" else file_format
        raise DataError(f"{path}: a label stored as {kind}, which may change ids; use the original PNG.")
    if packing == "1" or packing.startswith(("L;2", "L;4")):  # Pillow scales these to 8 bits: 15 becomes 255
        raise DataError(
            f"{path}: a {packing.removeprefix('L;')[0]}-bit greyscale label, whose ids programs read differently; "
            "save it with 8 bits a pixel or with a palette."
        )
    if mode == "P" and palette is not None:
        colours = np.asarray(palette, np.uint8).reshape(-1, 3)[:256]
        return Mask(pixels, np.concatenate([colours, np.zeros((256 - len(colours), 3), np.uint8)]))
    if mode.startswith("I"):
        if pixels.min() < 0 or pixels.max() > 255:
            raise DataError(
                f"{path}: 16-bit label ids from {pixels.min()} to {pixels.max()}; ids must be 0 to 255 "
                "(instance files hold such numbers: use the files with class ids)."
            )
        return Mask(pixels.astype(np.uint8))
    if ";16" in packing or mode not in ("L", "LA", "PA", "RGB", "RGBA"):
        kind = "floating-point" if mode == "F" else "16-bit colour" if ";16" in packing else mode
        raise DataError(f"{path}: a {kind} picture holds neither ids nor RGB colours; save it as PNG with 8 bits.")
    if mode in ("LA", "PA", "RGBA"):
        transparent = int(np.count_nonzero(np.array(upright.getchannel("A")) != 255))
        if transparent:
            raise DataError(
                f"{path}: {transparent} pixels of this label are transparent, so that their class is unclear; "
                "save it without transparency."
            )
        pixels = pixels[:, :, 0] if mode == "LA" else np.array(upright.convert("RGB"))
    return Mask(np.ascontiguousarray(pixels))


def _packing(file: Image.Image) -> str:
    """Return how a file packs its pixels, such as ``RGB;16B``; must be called before the pixels are loaded."""
    tiles = getattr(file, "tile", [])
    arguments = tiles[0][3] if tiles else None
    packing = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return "1" if file.mode == "1" else packing if isinstance(packing, str) else ""
