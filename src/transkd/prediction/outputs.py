"""From a picture's predictions to the files that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from transkd.errors import TransKDError
from transkd.evaluation.pictures import Pixels, SteadyLegend
from transkd.prediction.drawing import Drawer, confidence_pixels
from transkd.prediction.network import Network, Prediction
from transkd.prediction.plan import Kind, whole, write_confidence, write_ids, write_rgb

ReadImage = Callable[[Path], Pixels]


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
        For each picture what was seen, or why there is nothing.
    """
    firsts = model.network.predict(images)
    seconds = [None] * len(images) if second is None else second.network.predict(images)
    return [_together(*three) for three in zip(images, firsts, seconds, strict=True)]


def _together(
    image: Pixels, first: Prediction | TransKDError, second: Prediction | TransKDError | None
) -> Seen | TransKDError:
    if isinstance(first, TransKDError):
        return first
    return second if isinstance(second, TransKDError) else Seen(image, first, second)


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
        write_confidence(confidence_pixels(prediction), path)


def write_outputs(seen: Seen, outputs: Mapping[Kind, Path], model: Model, second: Model | None) -> None:
    """Write a picture's outputs.

    Raises:
        DataError: a file cannot be written.
    """
    for kind, path in outputs.items():
        with whole(path) as partial:
            if kind in ("ids", "confidence"):
                write_exact(kind, seen.prediction, model, partial)
            else:
                write_rgb(drawn(kind, seen, model, second), kind, partial)
