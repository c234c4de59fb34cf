"""One scene read in full: its statistics, and everything that is wrong with it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from PIL import Image

from transkd.data.classes import IGNORE_INDEX
from transkd.data.dataset import check_sizes
from transkd.data.datasets.layout import Sample
from transkd.data.labels import LabelReader, UnknownIdsError
from transkd.data.reading import is_turned, read_image
from transkd.errors import DataError

Counts = npt.NDArray[np.int64]


class Kind(StrEnum):
    """The kinds of problems; the value is what people read."""

    SPLIT = "splits that cannot be read"
    UNMATCHED = "files without their counterpart"
    IMAGE = "unreadable images"
    LABEL = "unreadable labels"
    IDS = "labels with ids or colours of no class"
    SIZE = "labels of another size than their image"
    IGNORED = "labels that ignore every pixel"
    SHARED = "images that are in two splits"


@dataclass(frozen=True, eq=False)
class SceneStatistics:
    """What one scene holds.

    Attributes:
        problems: (kind, message) of all that is wrong with it.
        size: the image's (height, width), None where it cannot be read.
        digest: of the image's pixels, equal for equal pictures in whatever format; empty where it cannot be read.
        levels: (3, 256) how many pixels have each level, by channel.
        ids: (256,) how many pixels have each class id, None where the label cannot be read.
        unknown: the ids or colours of no class that its label holds.
        turned: whether the image is shown turned or mirrored, as its EXIF orientation says.
    """

    problems: tuple[tuple[Kind, str], ...]
    size: tuple[int, int] | None
    digest: bytes
    levels: Counts
    ids: Counts | None
    unknown: tuple[str, ...] = ()
    turned: bool = False


def read_scene(read_label: LabelReader, sample: Sample) -> SceneStatistics:
    """Read a scene's image and label; what is wrong with them is listed, not raised."""
    problems: list[tuple[Kind, str]] = []
    image = label = None
    unknown: tuple[str, ...] = ()
    try:
        image = read_image(sample.image)
    except DataError as error:
        problems.append((Kind.IMAGE, str(error)))
    try:
        label = read_label(sample.label)
    except UnknownIdsError as error:
        problems.append((Kind.IDS, str(error)))
        unknown = error.values
    except DataError as error:
        problems.append((Kind.LABEL, str(error)))
    if image is not None and label is not None:
        try:
            check_sizes(sample, image.shape[:2], label.shape)
        except DataError as error:
            problems.append((Kind.SIZE, str(error)))
    ids = None if label is None else _histogram(label)[0]
    if ids is not None and ids[IGNORE_INDEX] == ids.sum():
        problems.append((Kind.IGNORED, f"{sample.label}: all of its pixels are ignored; nothing is learned from it."))
    if image is None:
        return SceneStatistics(tuple(problems), None, b"", np.zeros((3, 256), np.int64), ids, unknown)
    size = (image.shape[0], image.shape[1])
    shape = "x".join(map(str, size)).encode()[:16]
    digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16, person=shape).digest()
    return SceneStatistics(
        tuple(problems), size, digest, _histogram(image), ids, unknown, turned=is_turned(sample.image)
    )


def _histogram(pixels: npt.NDArray[np.uint8]) -> Counts:
    """Return (channels, 256) counts; Pillow's is three times as fast as numpy's."""
    return np.array(Image.fromarray(pixels).histogram(), np.int64).reshape(-1, 256)
