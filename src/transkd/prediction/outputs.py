"""From a picture's predictions to the files that were requested, each written whole or not at all."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from transkd.errors import DataError, TransKDError
from transkd.evaluation.pictures import Colour, Pixels, SteadyLegend
from transkd.prediction import EXACT_KINDS, Kind
from transkd.prediction.drawing import Drawer, confidence_pixels
from transkd.prediction.network import Network, Prediction

ReadImage = Callable[[Path], Pixels]

PNG_LEVEL = 3
"""zlib's level: a third of the time of Pillow's default for a few per cent more bytes."""
JPEG_QUALITY = 92
KIND_KEY = "transkd-predict"
"""PNG files hold the kind of output under this key."""


@dataclass(frozen=True)
class Model:
    """A segmenter: what predicts, and what draws.

    Attributes:
        network: from pictures to predictions.
        drawer: from predictions to pictures.
    """

    network: Network
    drawer: Drawer


@dataclass(frozen=True)
class Seen:
    """A picture and what was predicted for it.

    Attributes:
        image: (H, W, 3).
        prediction: of the segmenter.
        second: of the second segmenter, where there is one.
    """

    image: Pixels
    prediction: Prediction
    second: Prediction | None = None


def see(images: Sequence[Pixels], model: Model, second: Model | None) -> list[Seen | TransKDError]:
    """Predict pictures with one segmenter or two.

    Args:
        images: (H, W, 3) each, of one size once they are resized.
        model: the segmenter.
        second: another one.

    Returns:
        For each picture what was predicted, or why nothing was.
    """
    firsts = model.network.predict(images)
    seconds = [None] * len(images) if second is None else second.network.predict(images)
    found: list[Seen | TransKDError] = []
    for image, first, other in zip(images, firsts, seconds, strict=True):
        failed = next((one for one in (first, other) if isinstance(one, TransKDError)), None)
        found.append(failed or Seen(image, first, other))  # type: ignore[arg-type]
    return found


def drawn(kind: Kind, seen: Seen, model: Model, second: Model | None, steady: SteadyLegend | None = None) -> Pixels:
    """Return what is drawn in colours: an overlay, a colour map or a comparison (H, W, 3)."""
    if kind == "overlay":
        return model.drawer.overlay(seen.image, seen.prediction, steady)
    if kind == "compare":
        other = None if second is None or seen.second is None else (second.drawer, seen.second)
        return model.drawer.compare(seen.image, seen.prediction, other, steady)
    return model.drawer.colours(seen.prediction)


def write_exact(kind: Kind, prediction: Prediction, model: Model, path: Path) -> None:
    """Write class ids or confidences."""
    if kind == "ids":
        write_ids(prediction.ids, model.drawer.classes.colours, path)
    else:
        write_pixels(confidence_pixels(prediction), kind, path)


def write_outputs(seen: Seen, outputs: Mapping[Kind, Path], model: Model, second: Model | None) -> None:
    """Write a picture's outputs.

    Raises:
        DataError: a file cannot be written.
        OSError: the disk is full.
    """
    for kind, path in outputs.items():
        with whole(path) as partial:
            if kind in EXACT_KINDS:
                write_exact(kind, seen.prediction, model, partial)
            else:
                write_pixels(drawn(kind, seen, model, second), kind, partial)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a file or folder to write to, hidden and beside ``path``, that becomes ``path`` if all goes well.

    Raises:
        DataError: ``path`` cannot be written.
        OSError: nothing can, since the disk is full.
    """
    hidden: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden = Path(tempfile.mkdtemp(prefix=f".{path.stem[:40]}-", suffix=".partial", dir=path.parent))
        partial = hidden / path.name
        yield partial
        if partial.is_dir() and path.is_dir():
            path.replace(hidden / "replaced")
        partial.replace(path)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        if hidden is not None:
            shutil.rmtree(hidden, ignore_errors=True)


def write_picture(picture: Image.Image, kind: str, path: Path) -> None:
    """Write the PNG or JPEG that a path says; a PNG notes what kind of output it is."""
    if path.suffix.lower() == ".png":
        note = PngInfo()
        note.add_text(KIND_KEY, kind)
        picture.save(path, format="PNG", compress_level=PNG_LEVEL, pnginfo=note)
    else:
        picture.save(path, format="JPEG", quality=JPEG_QUALITY)


def write_pixels(pixels: Pixels, kind: str, path: Path) -> None:
    """Write colours (H, W, 3), or grey values (H, W)."""
    write_picture(Image.fromarray(pixels), kind, path)


def write_ids(ids: npt.NDArray[np.integer], colours: Sequence[Colour], path: Path) -> None:
    """Write class ids (H, W) as a PNG with a palette: programs read the ids, viewers show the colours."""
    picture = Image.fromarray(ids.astype(np.uint8))
    palette = [value for colour in colours for value in colour]
    picture.putpalette(palette + [0] * (768 - len(palette)))  # a shorter one makes Pillow write fewer bits a pixel
    write_picture(picture, "ids", path)


def kind_of(path: Path) -> str | None:
    """Return the kind of output that a PNG file notes, None where it notes none."""
    try:
        with Image.open(path) as picture:
            return picture.info.get(KIND_KEY)
    except (OSError, SyntaxError, ValueError):
        return None
