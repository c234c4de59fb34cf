"""Label files to arrays, with Pillow: ids, with or without a palette, and colours.

OpenCV is not used here: it loses palette ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from transkd.data.reading import UNREADABLE, refuse_animation, unreadable
from transkd.errors import DataError

# Lossy compression, and in PPM and PGM files a largest value by which Pillow stretches the ids.
_CHANGED_BY_FORMAT = {"JPEG", "MPO", "JPEG2000", "AVIF", "WEBP", "PPM"}
_CHANGED_BY_COMPRESSION = {"jpeg", "tiff_jpeg", "webp", "jpeg2000"}  # of a TIFF


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
        path: a PNG, or another lossless format but WebP, PPM and PGM.

    Returns:
        The mask, upright as its EXIF orientation says, if it has one.

    Raises:
        DataError: if the file is missing, truncated, no image, lossy, an animation, partly transparent, holds ids
            above 255, or has so few bits a pixel that its ids are ambiguous.
    """
    try:
        with Image.open(path) as file:
            file_format, compression, packing = file.format or "", file.info.get("compression"), _packing(file)
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
    if file_format in _CHANGED_BY_FORMAT or (file_format == "TIFF" and compression in _CHANGED_BY_COMPRESSION):
        kind = f"TIFF with {compression} compression" if file_format == "TIFF" else file_format
        raise DataError(f"{path}: a label stored as {kind}, which may change ids; use the original PNG.")
    if packing == "1" or packing.startswith(("L;2", "L;4")):  # Pillow scales these to 8 bits: 15 becomes 255
        raise DataError(
            f"{path}: a {packing.removeprefix('L;')[0]}-bit greyscale label, whose ids programs read differently; "
            "save it with 8 bits a pixel or with a palette."
        )
    if mode == "L":
        return Mask(pixels)
    if mode == "P" and palette is not None:
        colours = np.asarray(palette, np.uint8).reshape(-1, 3)[:256]
        return Mask(pixels, np.concatenate([colours, np.zeros((256 - len(colours), 3), np.uint8)]))
    if mode.startswith("I"):
        return Mask(_from_wide_ids(pixels, path))
    if ";16" in packing:
        raise DataError(f"{path}: a colour label with 16 bits a channel; save it with 8 bits a channel.")
    if mode in ("LA", "PA", "RGBA"):
        rgba = np.array(upright.convert("RGBA"))
        transparent = int(np.count_nonzero(rgba[:, :, 3] != 255))
        if transparent:
            raise DataError(
                f"{path}: {transparent} pixels of this label are transparent, so that their class is unclear; "
                "save it without transparency."
            )
        return Mask(np.ascontiguousarray(pixels[:, :, 0] if mode == "LA" else rgba[:, :, :3]))
    if mode == "RGB":
        return Mask(pixels)
    kind = "floating-point" if mode == "F" else mode
    raise DataError(f"{path}: a {kind} picture holds neither ids nor RGB colours; save the label as PNG with 8 bits.")


def _packing(file: Image.Image) -> str:
    """Return how a file packs its pixels, such as ``RGB;16B``; must be called before the pixels are loaded."""
    tiles = getattr(file, "tile", [])
    arguments = tiles[0][3] if tiles else None
    packing = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return "1" if file.mode == "1" else packing if isinstance(packing, str) else ""


def _from_wide_ids(ids: npt.NDArray[np.integer], path: Path | str) -> npt.NDArray[np.uint8]:
    least, most = int(ids.min()), int(ids.max())
    if least < 0 or most > 255:
        raise DataError(
            f"{path}: 16-bit label ids from {least} to {most}; ids must be 0 to 255 "
            "(instance files hold such numbers: use the files with class ids)."
        )
    return ids.astype(np.uint8)
