"""From a picture's predictions to the files that were requested, each written whole or not at all."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from transkd.errors import DataError, TransKDError
from transkd.evaluation.pictures import Colour, Pixels
from transkd.prediction import EXACT_KINDS, Kind
from transkd.prediction.drawing import Drawer, compare
from transkd.prediction.network import Network, Prediction

ReadImage = Callable[[Path], Pixels]

PNG_LEVEL = 3
"""zlib's level: a third of the time of Pillow's default for a few per cent more bytes."""
JPEG_QUALITY = 92


@dataclass(frozen=True)
class Model:
    """A segmenter: what predicts, and what draws.

    Attributes:
        network: from pictures to predictions.
        drawer: from predictions to pictures.
    """

    network: Network
    drawer: Drawer


def predict_with(models: Sequence[Model], images: Sequence[Pixels]) -> list[list[Prediction] | TransKDError]:
    """Return for each picture (H, W, 3), of one size once resized, each model's prediction, or why there is none."""
    found: list[list[Prediction] | TransKDError] = []
    for several in zip(*(model.network.predict(images) for model in models), strict=True):
        predictions = [one for one in several if isinstance(one, Prediction)]
        failed = next((one for one in several if isinstance(one, TransKDError)), None)
        found.append(failed or predictions)
    return found


def drawn(
    kind: Kind, image: Pixels, predictions: Sequence[Prediction], models: Sequence[Model], *, video: bool = False
) -> Pixels:
    """Return an overlay, a colour map or a comparison (H, W, 3); of a ``video``, all frames get one size."""
    drawers = [model.drawer for model in models]
    if kind == "overlay":
        return drawers[0].overlay(image, predictions[0], every_class=video)
    if kind == "compare":
        return compare(image, predictions, drawers, every_class=video)
    return drawers[0].colours(predictions[0].ids)


def write_exact(kind: Kind, prediction: Prediction, model: Model, path: Path) -> None:
    """Write class ids or confidences as a PNG; 1 is white."""
    if kind == "ids":
        write_ids(prediction.ids, model.drawer.classes.colours, path)
    else:
        assert prediction.confidence is not None
        write_pixels(np.rint(255 * prediction.confidence).astype(np.uint8), path)


def write_outputs(
    image: Pixels, predictions: Sequence[Prediction], outputs: Mapping[Kind, Path], models: Sequence[Model]
) -> None:
    """Write a picture's outputs.

    Raises:
        DataError: a file cannot be written.
        OSError: the disk is full.
    """
    for kind, path in outputs.items():
        with whole(path) as partial:
            if kind in EXACT_KINDS:
                write_exact(kind, predictions[0], models[0], partial)
            else:
                write_pixels(drawn(kind, image, predictions, models), partial)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a file or folder to write to, hidden and beside ``path``, that becomes ``path`` if all goes well.

    Raises:
        DataError: ``path`` cannot be written.
        OSError: nothing can, since the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", suffix=".partial", dir=path.parent) as hidden:
            partial = Path(hidden, path.name)
            yield partial
            if partial.is_dir() and path.is_dir():
                path.replace(Path(hidden, "replaced"))
            partial.replace(path)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error


def write_pixels(pixels: Pixels, path: Path) -> None:
    """Write colours (H, W, 3), or grey values (H, W), as the PNG or JPEG that the path names."""
    if path.suffix.lower() == ".png":
        Image.fromarray(pixels).save(path, format="PNG", compress_level=PNG_LEVEL)
    else:
        Image.fromarray(pixels).save(path, format="JPEG", quality=JPEG_QUALITY)


def write_ids(ids: npt.NDArray[np.integer], colours: Sequence[Colour], path: Path) -> None:
    """Write class ids (H, W) as a PNG with a palette: programs read the ids, viewers show the colours."""
    picture = Image.fromarray(ids.astype(np.uint8))
    palette = [value for colour in colours for value in colour]
    picture.putpalette(palette + [0] * (768 - len(palette)))  # a shorter one makes Pillow write fewer bits a pixel
    picture.save(path, format="PNG", compress_level=PNG_LEVEL)
