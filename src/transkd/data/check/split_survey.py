"""What the scenes of one split hold, counted one by one."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from transkd.data.classes import IGNORE_INDEX, ClassSet
from transkd.data.dataset import check_sizes
from transkd.data.labels import LabelReader, UnknownIdsError
from transkd.data.reading import is_turned, read_image
from transkd.data.samples import Sample
from transkd.errors import DataError


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


@dataclass(frozen=True)
class Finding:
    """One problem.

    Attributes:
        kind: what is wrong.
        split: where; two splits are joined by "and".
        message: says it in full, with the file's name.
        file: the file, or the name of what is missing.
    """

    kind: Kind
    split: str
    message: str
    file: str


Counts = npt.NDArray[np.int64]
_LEVELS = np.arange(256, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class SceneFacts:
    """What reading one scene told.

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

    @property
    def sums(self) -> tuple[Counts, Counts]:
        """The (3,) sums of levels and of squared levels, exact."""
        return self.levels @ _LEVELS, self.levels @ _LEVELS**2


def read_facts(read_label: LabelReader, sample: Sample) -> SceneFacts:
    """Read a scene's image and label; what is wrong with them is told, not raised."""
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
        return SceneFacts(tuple(problems), None, b"", np.zeros((3, 256), np.int64), ids, unknown)
    digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16, person=_shape_tag(image)).digest()
    return SceneFacts(
        tuple(problems),
        (image.shape[0], image.shape[1]),
        digest,
        _histogram(image),
        ids,
        unknown,
        is_turned(sample.image),
    )


def _histogram(pixels: npt.NDArray[np.uint8]) -> Counts:
    """Return (channels, 256) counts; Pillow's is three times as fast as numpy's."""
    return np.array(Image.fromarray(pixels).histogram(), np.int64).reshape(-1, 256)


def _shape_tag(image: npt.NDArray[np.uint8]) -> bytes:
    return f"{image.shape[0]}x{image.shape[1]}".encode()[:16]


Values = npt.NDArray[np.float64]


def erfnet_weights(pixels: Counts) -> Values:
    """Give 1 / ln(1.02 + p), p being a class's share of all labelled pixels (Paszke et al., 2016; ERFNet).

    Args:
        pixels: (K,) pixels a class.

    Returns:
        (K,) weights, from 1.42 for all pixels to 50.5 for none.
    """
    return np.asarray(1.0 / np.log(1.02 + pixels / max(1, pixels.sum())))


def median_frequency_weights(pixels: Counts, pixels_where_present: Counts) -> Values:
    """Give median frequency / frequency (Eigen and Fergus, ICCV 2015).

    Args:
        pixels: (K,) pixels a class.
        pixels_where_present: (K,) all pixels of the scenes that hold the class.

    Returns:
        (K,) weights; 0 for classes that never occur, which are left out of the median too.
    """
    weights = np.zeros(len(pixels))
    present = pixels > 0
    frequencies = pixels[present] / pixels_where_present[present]
    if len(frequencies):
        weights[present] = np.median(frequencies) / frequencies
    return weights


def mean_and_std(sums: Counts, squares: Counts, pixels: int) -> tuple[Values, Values]:
    """Give the mean and standard deviation of each channel, levels scaled to [0, 1].

    Args:
        sums: (3,) sums of levels.
        squares: (3,) sums of squared levels.
        pixels: how many there are.
    """
    mean = sums / max(1, pixels)
    variance = squares / max(1, pixels) - mean**2
    return mean / 255, np.sqrt(np.maximum(variance, 0)) / 255


@dataclass
class SplitSurvey:
    """What the scenes of one split hold.

    Attributes:
        name: the split.
        split_by: what says which scenes are in it.
        samples: the complete pairs.
        sound: those of them that nothing is wrong with.
        sizes: how many images there are of each (height, width).
        pixels: (K,) pixels of each class.
        pixels_where_present: (K,) all pixels of the scenes that hold each class.
        ignored: pixels that are ignored.
        level_sums: (3,) sums of the images' levels.
        square_sums: (3,) sums of their squares.
        image_pixels: how many pixels these sums are of.
        digests: picture -> the images that hold it.
        unknown: ids and colours of no class -> how many labels hold them.
        turned: the images that are shown turned or mirrored, as their EXIF orientation says.
    """

    name: str
    split_by: str
    classes: ClassSet
    samples: list[Sample] = field(default_factory=list)
    sound: list[Sample] = field(default_factory=list)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    ignored: int = 0
    image_pixels: int = 0
    digests: dict[bytes, list[Path]] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)
    turned: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pixels: Counts = np.zeros(self.classes.num_classes, np.int64)
        self.pixels_where_present: Counts = np.zeros(self.classes.num_classes, np.int64)
        self.level_sums: Counts = np.zeros(3, np.int64)
        self.square_sums: Counts = np.zeros(3, np.int64)

    def add(self, sample: Sample, facts: SceneFacts) -> None:
        """Count one scene."""
        self.samples.append(sample)
        if not facts.problems:
            self.sound.append(sample)
        if facts.size is not None:
            self.sizes[facts.size] += 1
            self.image_pixels += facts.size[0] * facts.size[1]
            sums, squares = facts.sums
            self.level_sums += sums
            self.square_sums += squares
            self.digests.setdefault(facts.digest, []).append(sample.image)
        self.unknown.update(facts.unknown)
        if facts.turned:
            self.turned.append(sample.image)
        if facts.ids is not None:
            counts = facts.ids[: self.classes.num_classes]
            self.pixels += counts
            self.pixels_where_present += np.where(counts > 0, facts.ids.sum(), 0)
            self.ignored += int(facts.ids[self.classes.ignore_index])

    @property
    def repeated(self) -> list[list[Path]]:
        """The images of each picture that is there more than once."""
        return [paths for paths in self.digests.values() if len(paths) > 1]

    @property
    def absent(self) -> list[str]:
        """The classes that no pixel is of; none where no label could be counted."""
        if not self.pixels.any():
            return []
        return [name for name, count in zip(self.classes.names, self.pixels, strict=True) if count == 0]

    @property
    def mean(self) -> float:
        """The mean level of all channels, 0 to 1."""
        return float(mean_and_std(self.level_sums, self.square_sums, self.image_pixels)[0].mean())

    def as_dict(self) -> dict[str, object]:
        """Give the numbers in plain containers."""
        mean, std = mean_and_std(self.level_sums, self.square_sums, self.image_pixels)
        return {
            "scenes": len(self.samples),
            "sound_scenes": len(self.sound),
            "split_by": self.split_by,
            "sizes": {f"{height}x{width}": count for (height, width), count in self.sizes.most_common()},
            "pixels": dict(zip(self.classes.names, self.pixels.tolist(), strict=True)),
            "ignored_pixels": self.ignored,
            "absent_classes": self.absent,
            "unknown_ids": dict(self.unknown.most_common()),
            "mean": mean.round(6).tolist(),
            "std": std.round(6).tolist(),
            "turned_images": [str(path) for path in self.turned],
            "repeated_images": [[str(path) for path in paths] for paths in self.repeated],
        }
