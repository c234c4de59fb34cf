"""Label files to arrays, with Pillow: ids, with or without a palette, and colours.

OpenCV is not used here: it loses palette ids.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from transkd.data.reading import UNREADABLE, refuse_animation, unreadable
from transkd.errors import DataError

_SCALED_GREYS = ("L;2", "L;4")  # L;2I, L;4R, ... are these with other signs or orders of bits, in TIFFs
_LOSSY_FORMATS = {"JPEG": "JPEG", "MPO": "JPEG", "JPEG2000": "JPEG 2000", "AVIF": "AVIF"}
_LOSSY_TIFF = {"jpeg", "tiff_jpeg", "webp", "jpeg2000"}


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
            above 255, or has so few bits a pixel or such a range of values that its ids are ambiguous.
    """
    try:
        with Image.open(path) as file:
            depth, wide = _grey_depth(file), ";16" in _raw_mode(file)
            lossy, largest = _lossy_format(file, path), _said_largest(file)
            refuse_animation(file, "label", path)
            file.load()
            upright = ImageOps.exif_transpose(file)
            pixels = np.array(upright)
            mode = upright.mode
            palette = upright.getpalette("RGB") if mode == "P" else None
    except DataError:
        raise
    except UNREADABLE as error:
        raise unreadable("label", path, error) from error
    if lossy:
        raise DataError(f"{path}: a label stored as {lossy}, which does not keep ids; use the original PNG.")
    if largest is not None:
        raise DataError(
            f"{path}: a label that says its largest value is {largest}, so that programs stretch its ids; "
            "save it with a largest value of 255, or as PNG with 8 bits."
        )
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


def _grey_depth(file: Image.Image) -> int | None:
    """Bits a pixel of a grey file that Pillow rescales to 8 bits (15 becomes 255), else None."""
    if file.mode == "1":
        return 1
    raw_mode = _raw_mode(file)
    return int(raw_mode[2]) if raw_mode.startswith(_SCALED_GREYS) else None


def _raw_mode(file: Image.Image) -> str:
    """How the file packs its pixels, such as ``RGB;16B``; must be asked for before the pixels are loaded."""
    tiles = getattr(file, "tile", [])
    arguments = tiles[0][3] if tiles else None
    raw_mode = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return raw_mode if isinstance(raw_mode, str) else ""


def _said_largest(file: Image.Image) -> int | None:
    """Return the largest value that a PGM or PPM file says it may hold, if Pillow stretches values by it."""
    for codec, _, _, arguments in getattr(file, "tile", []):
        if codec in ("ppm", "ppm_plain") and isinstance(arguments, tuple) and arguments[-1] not in (255, 65535):
            return int(arguments[-1])
    return None


def _lossy_format(file: Image.Image, path: Path | str) -> str | None:
    """Name the compression that changes pixels, as people call it; None where there is none."""
    if file.format == "WEBP":
        return "lossy WebP" if _is_lossy_webp(path) else None
    if file.format == "TIFF" and file.info.get("compression") in _LOSSY_TIFF:
        return f"TIFF with {file.info['compression']} compression"
    return _LOSSY_FORMATS.get(file.format or "")


def _is_lossy_webp(path: Path | str) -> bool:
    """Tell by the first chunk of pixels (RFC 9649): VP8 is lossy, VP8L is not."""
    with Path(path).open("rb") as file:
        file.seek(12)
        while header := file.read(8):
            kind, size = struct.unpack("<4sI", header)
            if kind in (b"VP8 ", b"VP8L"):
                return bool(kind == b"VP8 ")
            file.seek(size + size % 2, 1)
    return False


def _from_wide_ids(ids: npt.NDArray[np.integer], path: Path | str) -> npt.NDArray[np.uint8]:
    least, most = int(ids.min()), int(ids.max())
    if least < 0 or most > 255:
        raise DataError(
            f"{path}: 16-bit label ids from {least} to {most}; ids must be 0 to 255 "
            "(instance files hold such numbers: use the files with class ids)."
        )
    return ids.astype(np.uint8)
