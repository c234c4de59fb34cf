"""A dataset read in full, split by split: counts, class weights, and every problem."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from transkd.data.classes import IGNORE_INDEX, ClassSet
from transkd.data.dataset import check_sizes
from transkd.data.datasets import Sample, Scenes, classes_of, find_scenes, find_splits
from transkd.data.labels import LabelReader, UnknownIdsError
from transkd.data.reading import is_turned, read_image
from transkd.data.transforms import single_threaded_opencv
from transkd.errors import DataError

Progress = Callable[[int, int], None]
Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
_LEVELS = np.arange(256, dtype=np.int64)


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
    """One problem: its kind, its split (two are joined by "and"), a whole message, and the file or missing name."""

    kind: Kind
    split: str
    message: str
    file: str


@dataclass
class SceneStatistics:
    """What one scene holds."""

    problems: list[tuple[Kind, str]] = field(default_factory=list)  # (kind, message) of all that is wrong with it
    size: tuple[int, int] | None = None  # the image's (height, width), None where it cannot be read
    digest: bytes = b""  # of the image's pixels, equal for equal pictures in whatever format
    # (3, 256) pixels of each level, by channel.
    levels: Counts = field(default_factory=lambda: np.zeros((3, 256), np.int64))
    ids: Counts | None = None  # (256,) pixels of each class id, None where the label cannot be read
    unknown: tuple[str, ...] = ()  # the ids or colours of no class that its label holds
    turned: bool = False  # whether its EXIF orientation turns or mirrors the image


def read_scene(read_label: LabelReader, sample: Sample) -> SceneStatistics:
    """Read a scene's image and label; what is wrong with them is listed, not raised."""
    found = SceneStatistics()
    try:
        image = read_image(sample.image)
    except DataError as error:
        found.problems.append((Kind.IMAGE, str(error)))
    else:
        found.size = (image.shape[0], image.shape[1])
        found.levels = _histogram(image)
        found.turned = is_turned(sample.image)
        shape = "x".join(map(str, found.size)).encode()[:16]
        found.digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16, person=shape).digest()
    try:
        label = read_label(sample.label)
    except UnknownIdsError as error:
        found.problems.append((Kind.IDS, str(error)))
        found.unknown = error.values
    except DataError as error:
        found.problems.append((Kind.LABEL, str(error)))
    else:
        found.ids = _histogram(label)[0]
        try:
            check_sizes(sample, found.size or label.shape, label.shape)
        except DataError as error:
            found.problems.append((Kind.SIZE, str(error)))
        if found.ids[IGNORE_INDEX] == label.size:
            text = f"{sample.label}: all of its pixels are ignored; nothing is learned from it."
            found.problems.append((Kind.IGNORED, text))
    return found


def _histogram(pixels: npt.NDArray[np.uint8]) -> Counts:
    """Return (channels, 256) counts; Pillow's is three times as fast as numpy's."""
    return np.array(Image.fromarray(pixels).histogram(), np.int64).reshape(-1, 256)


def erfnet_weights(pixels: Counts) -> Values:
    """Return 1 / ln(1.02 + p), p being a class's share of all labelled pixels (Paszke et al., 2016; ERFNet).

    From pixels a class (K,) to weights (K,), 1.42 for all pixels to 50.5 for none.
    """
    return np.asarray(1.0 / np.log(1.02 + pixels / max(1, pixels.sum())))


def median_frequency_weights(pixels: Counts, pixels_where_present: Counts) -> Values:
    """Return median frequency / frequency (Eigen and Fergus, ICCV 2015), 0 for classes that never occur.

    From pixels a class (K,) and all pixels of the scenes that hold the class (K,) to weights (K,).
    """
    weights = np.zeros(len(pixels))
    present = pixels > 0
    frequencies = pixels[present] / pixels_where_present[present]
    if len(frequencies):
        weights[present] = np.median(frequencies) / frequencies
    return weights


@dataclass
class SplitSurvey:
    """What the scenes of one split hold, with (K,) pixels of each class, and of all scenes that hold the class."""

    name: str
    split_by: str  # what determines which scenes are in it
    classes: ClassSet
    samples: list[Sample] = field(default_factory=list)  # the complete pairs
    sound: list[Sample] = field(default_factory=list)  # those of them without a problem
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # images of each (height, width)
    ignored: int = 0  # pixels that are ignored
    # (3, 256) pixels of each level, by channel.
    levels: Counts = field(default_factory=lambda: np.zeros((3, 256), np.int64))
    digests: dict[bytes, list[Path]] = field(default_factory=dict)  # picture -> the images that hold it
    unknown: Counter[str] = field(default_factory=Counter)  # ids and colours of no class -> labels that hold them
    turned: list[Path] = field(default_factory=list)  # images that their EXIF orientation turns or mirrors

    def __post_init__(self) -> None:
        self.pixels: Counts = np.zeros(self.classes.num_classes, np.int64)
        self.pixels_where_present: Counts = np.zeros(self.classes.num_classes, np.int64)

    def add(self, sample: Sample, scene: SceneStatistics) -> None:
        """Count one scene."""
        self.samples.append(sample)
        if not scene.problems:
            self.sound.append(sample)
        if scene.size is not None:
            self.sizes[scene.size] += 1
            self.levels += scene.levels
            self.digests.setdefault(scene.digest, []).append(sample.image)
        self.unknown.update(scene.unknown)
        if scene.turned:
            self.turned.append(sample.image)
        if scene.ids is not None:
            counts = scene.ids[: self.classes.num_classes]
            self.pixels += counts
            self.pixels_where_present += np.where(counts > 0, scene.ids.sum(), 0)
            self.ignored += int(scene.ids[self.classes.ignore_index])

    @property
    def repeated(self) -> list[list[Path]]:
        """The images of each picture that is there more than once."""
        return [paths for paths in self.digests.values() if len(paths) > 1]

    @property
    def absent(self) -> list[str]:
        """The classes that no pixel is of; none where no label could be counted."""
        counted = self.pixels if self.pixels.any() else np.ones_like(self.pixels)
        return [name for name, count in zip(self.classes.names, counted, strict=True) if count == 0]

    @property
    def mean(self) -> float:
        """The mean level of all channels, 0 to 1."""
        return float(self.mean_and_std()[0].mean())

    def mean_and_std(self) -> tuple[Values, Values]:
        """Return the mean and standard deviation (3,) of the images' channels, levels scaled to [0, 1]."""
        pixels = max(1, int(self.levels[0].sum()))
        mean = self.levels @ _LEVELS / pixels
        variance = self.levels @ _LEVELS**2 / pixels - mean**2
        return mean / 255, np.sqrt(np.maximum(variance, 0)) / 255

    def as_dict(self) -> dict[str, object]:
        """Return the numbers in plain containers."""
        mean, std = self.mean_and_std()
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


@dataclass(frozen=True)
class Survey:
    """What a dataset holds."""

    name: str  # the dataset
    root: str  # its folder
    classes: ClassSet  # its classes
    splits: dict[str, SplitSurvey]  # what each split holds, by name; those that cannot be found are left out
    findings: list[Finding]  # all that is wrong
    weighed: str | None  # the split that class weights are of; None where none was read

    def class_weights(self) -> dict[str, list[float]]:
        """Return one weight a class, by ERFNet's rule and by median frequency; empty where no label was read."""
        split = self.splits.get(self.weighed or "")
        if split is None or not split.pixels.any():
            return {}
        weights = {
            "erfnet": erfnet_weights(split.pixels),
            "median_frequency": median_frequency_weights(split.pixels, split.pixels_where_present),
        }
        return {rule: values.round(6).tolist() for rule, values in weights.items()}

    def as_dict(self) -> dict[str, object]:
        """Return everything in plain containers."""
        return {
            "dataset": self.name,
            "root": self.root,
            "classes": list(self.classes.names),
            "palette": [list(colour) for colour in self.classes.palette],
            "splits": {name: split.as_dict() for name, split in self.splits.items()},
            "class_weights": {"split": self.weighed, **self.class_weights()},
            "problems": [asdict(finding) | {"kind": finding.kind.name.lower()} for finding in self.findings],
        }


def survey(
    name: str,
    root: str,
    splits: Sequence[str] | None,
    *,
    train_split: str = "train",
    val_split: str = "val",
    workers: int = 0,
    progress: Progress = lambda *_: None,
    options: Mapping[str, Any] | None = None,
) -> Survey:
    """Read every file of a dataset; files that are wrong are among what is found.

    Args:
        name: one of :func:`transkd.data.available_datasets`.
        root: its folder.
        splits: the splits to read, None for all that are there.
        train_split: the split that is trained on, whose class weights are computed.
        val_split: the split that is validated on.
        workers: processes that read; 0 reads in this one.
        progress: called with (scenes read, scenes in all).
        options: what else the dataset takes.

    Raises:
        ConfigError: if the dataset or an option does not exist.
        DataError: if the root or the classes are missing.
    """
    options = dict(options or {})
    classes = classes_of(name, root, **options)
    findings: list[Finding] = []
    found: dict[str, Scenes] = {}
    for split in find_splits(name, root, **options) if splits is None else splits:
        try:
            found[split] = find_scenes(name, root, split, complete=False, **options)
        except DataError as error:
            findings.append(Finding(Kind.SPLIT, split, str(error), split))
    for split, scenes in found.items():
        findings += _unmatched(split, scenes)
    read = {split: SplitSurvey(split, scenes.split_by, classes) for split, scenes in found.items()}
    total, done = sum(len(scenes.samples) for scenes in found.values()), 0
    for split, scenes in found.items():
        for sample, scene in zip(scenes.samples, _read_scenes(scenes, workers), strict=True):
            read[split].add(sample, scene)
            for kind, message in scene.problems:
                file = sample.image if kind is Kind.IMAGE else sample.label
                findings.append(Finding(kind, split, message, str(file)))
            done += 1
            progress(done, total)
    for one, other in combinations(_disjoint(read, train_split, val_split), 2):
        findings += _shared(one, other)
    # Without those that were found again in another split of the same files.
    distinct = {(finding.kind, finding.message): finding for finding in reversed(findings)}
    weighed = train_split if train_split in read else next(iter(read), None)
    root = str(Path(root).expanduser().absolute())
    return Survey(name, root, classes, read, list(distinct.values())[::-1], weighed)


def _disjoint(read: Mapping[str, SplitSurvey], train_split: str, val_split: str) -> list[SplitSurvey]:
    """Return the splits that must share no image; VOC's trainval, for one, is meant to hold others."""
    train = train_split if train_split in read else "train"
    val = val_split if val_split in read else "val"
    wanted = [read[split] for split in dict.fromkeys((train, val, "test")) if split in read]
    return wanted if len(wanted) > 1 else list(read.values())


def _read_scenes(scenes: Scenes, workers: int) -> Iterable[SceneStatistics]:
    read = partial(read_scene, scenes.read_label)
    if workers <= 0 or len(scenes.samples) < 2:
        yield from map(read, scenes.samples)
        return
    with ProcessPoolExecutor(min(workers, os.cpu_count() or 1), initializer=single_threaded_opencv) as pool:
        try:
            yield from pool.map(read, scenes.samples, chunksize=8)
        except BrokenProcessPool as error:
            raise DataError("A reading process died, perhaps for want of memory: try workers=0.") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _unmatched(split: str, scenes: Scenes) -> Iterator[Finding]:
    for place in scenes.unmatched:
        names = [(name, "image without a label") for name in place.images]
        names += [(name, "label without an image") for name in place.labels]
        names += [(name, "name of no file") for name in place.nowhere]
        for number, (name, what) in enumerate(names):
            hint = "" if number else f" {place.hint}".rstrip()
            yield Finding(Kind.UNMATCHED, split, f"{name}: {what} ({place.where}).{hint}", name)


def _shared(one: SplitSurvey, other: SplitSurvey) -> Iterator[Finding]:
    for digest, paths in one.digests.items():
        for path in other.digests.get(digest, []):
            same = f"{path} is in both" if path == paths[0] else f"{paths[0]} and {path} hold the same picture"
            yield Finding(Kind.SHARED, f"{one.name} and {other.name}", same, str(path))
