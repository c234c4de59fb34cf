"""Image and label files to arrays, with Pillow.

OpenCV is not used here: it reads truncated JPEGs as half-grey pictures with no error, and loses palette ids.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

from transkd.errors import DataError

_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
_SCALED_GREYS = ("L;2", "L;4")
_QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that exchange height and width
_TURNS = (2, 3, 4, *_QUARTER_TURNS)
_LOSSY_FORMATS = {"JPEG": "JPEG", "MPO": "JPEG", "JPEG2000": "JPEG 2000", "AVIF": "AVIF"}
_LOSSY_TIFF = {"jpeg", "tiff_jpeg", "webp", "jpeg2000"}
_POINTER = b"version https://git-lfs"


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
            _refuse_animation(file, "image", path)
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


def image_size(path: Path | str) -> tuple[int, int]:
    """Return the height and width that :func:`read_image` gives, from the file's header alone.

    Raises:
        DataError: if the file is missing or no image.
    """
    try:
        with Image.open(path) as file:
            width, height = file.size
            turned = file.getexif().get(ExifTags.Base.Orientation) in _QUARTER_TURNS
    except _UNREADABLE as error:
        raise _unreadable("image", path, error) from error
    return (width, height) if turned else (height, width)


def is_turned(path: Path | str) -> bool:
    """Tell whether an image is shown turned or mirrored, as its EXIF orientation says; False where it has none."""
    try:
        with Image.open(path) as file:
            return file.getexif().get(ExifTags.Base.Orientation, 1) in _TURNS
    except _UNREADABLE:
        return False


@dataclass(frozen=True)
class Mask:
    """What a mask file holds.

    Attributes:
        pixels: (H, W) uint8 ids, or (H, W, 3) uint8 colours.
        palette: (256, 3) uint8, the colours that a palette file gives its ids; None where it has no palette.
    """

    pixels: npt.NDArray[np.uint8]
    palette: npt.NDArray[np.uint8] | None = None


def read_label(path: Path | str) -> npt.NDArray[np.uint8]:
    """Read a label file as the ids it holds; palette files keep their indices.

    Args:
        path: a PNG (or another lossless format) with one id a pixel.

    Returns:
        (H, W) uint8.

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
    """Read a mask of ids, with or without a palette, or of colours.

    Args:
        path: a PNG (or another lossless format).

    Returns:
        The mask, upright as its EXIF orientation says, if it has one.

    Raises:
        DataError: if the file is missing, truncated, no image, lossy, an animation, partly transparent, holds ids
            above 255, or has so few bits a pixel that its ids are ambiguous.
    """
    try:
        with Image.open(path) as file:
            depth, wide = _grey_depth(file), ";16" in _raw_mode(file)
            lossy = _lossy_format(file)
            _refuse_animation(file, "label", path)
            file.load()
            upright = ImageOps.exif_transpose(file)
            pixels = np.array(upright)
            mode = upright.mode
            palette = upright.getpalette("RGB") if mode == "P" else None
    except DataError:
        raise
    except _UNREADABLE as error:
        raise _unreadable("label", path, error) from error
    if lossy:
        raise DataError(f"{path}: a label stored as {lossy}, which does not keep ids; use the original PNG.")
    if depth is not None:
        raise DataError(
            f"{path}: a {depth}-bit greyscale label, whose ids programs read differently; "
            "save it with 8 bits a pixel or with a palette."
        )
    if mode in ("L", "P"):
        return Mask(pixels.astype(np.uint8, copy=False), None if palette is None else _whole_palette(palette))
    if mode.startswith("I"):
        return Mask(_from_wide_ids(pixels, path))
    if wide:
        raise DataError(f"{path}: a colour label with 16 bits a channel; save it with 8 bits a channel.")
    if mode in ("LA", "PA", "RGBA"):
        return _without_alpha(np.array(upright.convert("RGBA")), mode, pixels, path)
    if mode == "RGB":
        return Mask(pixels)
    kind = "floating-point" if mode == "F" else mode
    raise DataError(f"{path}: a {kind} picture holds neither ids nor RGB colours; save the label as PNG with 8 bits.")


def _whole_palette(listed: list[int]) -> npt.NDArray[np.uint8]:
    palette = np.zeros((256, 3), np.uint8)
    colours = np.asarray(listed, np.uint8).reshape(-1, 3)[:256]
    palette[: len(colours)] = colours
    return palette


def _without_alpha(rgba: npt.NDArray[np.uint8], mode: str, pixels: npt.NDArray[np.uint8], path: Path | str) -> Mask:
    clear = int(np.count_nonzero(rgba[:, :, 3] != 255))
    if clear:
        raise DataError(
            f"{path}: {clear} pixels of this label are transparent, so that their class is unclear; "
            "save it without transparency."
        )
    return Mask(np.ascontiguousarray(pixels[:, :, 0]) if mode == "LA" else np.ascontiguousarray(rgba[:, :, :3]))


def _refuse_animation(file: Image.Image, what: str, path: Path | str) -> None:
    """Raise a DataError for several frames; cameras put previews behind a JPEG, whose first picture is meant."""
    frames = getattr(file, "n_frames", 1)
    if frames > 1 and file.format != "MPO":
        raise DataError(f"{path}: this {what} holds {frames} frames or pages; save the one that is meant on its own.")


def _grey_depth(file: Image.Image) -> int | None:
    """Bits a pixel of a grey file that Pillow rescales to 8 bits (15 becomes 255), else None."""
    if file.mode == "1":
        return 1
    raw_mode = _raw_mode(file)
    return int(raw_mode[2:]) if raw_mode in _SCALED_GREYS else None


def _raw_mode(file: Image.Image) -> str:
    """How the file packs its pixels, such as ``RGB;16B``; must be asked for before the pixels are loaded."""
    tiles = getattr(file, "tile", [])
    arguments = tiles[0][3] if tiles else None
    raw_mode = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return raw_mode if isinstance(raw_mode, str) else ""


def _lossy_format(file: Image.Image) -> str | None:
    """Name the compression that changes pixels, as people call it; None where there is none."""
    if file.format == "TIFF" and file.info.get("compression") in _LOSSY_TIFF:
        return f"TIFF with {file.info['compression']} compression"
    return _LOSSY_FORMATS.get(file.format or "")


def _from_16_bit(values: npt.NDArray[np.generic], path: Path | str) -> npt.NDArray[np.uint8]:
    wide = values.astype(np.int64)
    if wide.min() < 0 or wide.max() > 65535:
        raise DataError(f"{path}: a 32-bit image; save it with 8 bits a channel.")
    if 0 < wide.max() <= 255:
        raise DataError(
            f"{path}: a 16- or 32-bit image whose values end at {wide.max()}, which would be black; "
            "save it with 8 bits a channel."
        )
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
