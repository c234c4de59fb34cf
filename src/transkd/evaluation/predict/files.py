"""Output files, written as a whole or not at all."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from transkd.errors import DataError
from transkd.evaluation.pictures import Pixels
from transkd.evaluation.predict.colours import Colour

PNG_LEVEL = 3
"""zlib's level: a third of the time of Pillow's default for a few per cent more bytes."""
JPEG_QUALITY = 92
KIND_KEY = "transkd-predict"
"""PNG files hold the kind of output under this key."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


class FullError(DataError):
    """A disk that takes nothing more: full, over quota, or no longer to be written to."""


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a file or folder to write to, hidden and beside ``path``, that becomes ``path`` if all goes well.

    Raises:
        DataError: ``path`` cannot be written.
        FullError: nothing can.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden = Path(tempfile.mkdtemp(prefix=f".{path.stem[:40]}-", suffix=".partial", dir=path.parent))
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        partial = hidden / path.name
        yield partial
        if partial.is_dir() and path.is_dir():
            path.replace(hidden / "replaced")
        partial.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _unwritable(path: Path, error: OSError) -> DataError:
    kind = FullError if error.errno in _FULL else DataError
    return kind(f"{path} cannot be written: {error.strerror or error}")


def write_rgb(pixels: Pixels, kind: str, path: Path) -> None:
    """Write a picture (H, W, 3) as the PNG or JPEG that its name says."""
    _save(Image.fromarray(pixels), kind, path)


def write_confidence(pixels: npt.NDArray[np.uint8], path: Path) -> None:
    """Write confidences (H, W), 0 to 255, as a grey PNG."""
    _save(Image.fromarray(pixels), "confidence", path)


def write_ids(ids: npt.NDArray[np.integer], colours: Sequence[Colour], path: Path) -> None:
    """Write class ids (H, W) as a PNG with a palette: programs read the ids, viewers show the colours."""
    picture = Image.fromarray(ids.astype(np.uint8))
    palette = [value for colour in colours for value in colour]
    picture.putpalette(palette + [0] * (768 - len(palette)))  # a shorter one makes Pillow write fewer bits a pixel
    _save(picture, "ids", path)


def kind_of(path: Path) -> str | None:
    """Return the kind of output that a PNG file says it is, None where it does not say."""
    try:
        with Image.open(path) as picture:
            return picture.info.get(KIND_KEY)
    except (OSError, SyntaxError, ValueError):
        return None


def _save(picture: Image.Image, kind: str, path: Path) -> None:
    if path.suffix.lower() == ".png":
        note = PngInfo()
        note.add_text(KIND_KEY, kind)
        picture.save(path, format="PNG", compress_level=PNG_LEVEL, pnginfo=note)
    else:
        picture.save(path, format="JPEG", quality=JPEG_QUALITY)
