"""A dataset read in full, split by split: counts, class weights, and every problem."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from transkd.data.check.scenes import Counts, Kind, SceneStatistics, read_scene
from transkd.data.classes import ClassSet
from transkd.data.datasets import Scenes, classes_of, find_incomplete_scenes, find_splits
from transkd.data.datasets.layout import Sample
from transkd.data.transforms import single_threaded_opencv
from transkd.errors import DataError

Progress = Callable[[int, int], None]
Values = npt.NDArray[np.float64]
_LEVELS = np.arange(256, dtype=np.int64)


@dataclass(frozen=True)
class Finding:
    """One problem.

    Attributes:
        kind: what is wrong.
        split: where; two splits are joined by "and".
        message: the whole message, with the file's name.
        file: the file, or the name of what is missing.
    """

    kind: Kind
    split: str
    message: str
    file: str


def erfnet_weights(pixels: Counts) -> Values:
    """Return 1 / ln(1.02 + p), p being a class's share of all labelled pixels (Paszke et al., 2016; ERFNet).

    Args:
        pixels: (K,) pixels a class.

    Returns:
        (K,) weights, from 1.42 for all pixels to 50.5 for none.
    """
    return np.asarray(1.0 / np.log(1.02 + pixels / max(1, pixels.sum())))


def median_frequency_weights(pixels: Counts, pixels_where_present: Counts) -> Values:
    """Return median frequency / frequency (Eigen and Fergus, ICCV 2015).

    Args:
        pixels: (K,) pixels a class.
        pixels_where_present: (K,) all pixels of the scenes that hold the class.

    Returns:
        (K,) weights; 0 for classes that never occur, which the median leaves out too.
    """
    weights = np.zeros(len(pixels))
    present = pixels > 0
    frequencies = pixels[present] / pixels_where_present[present]
    if len(frequencies):
        weights[present] = np.median(frequencies) / frequencies
    return weights


def mean_and_std(sums: Counts, squares: Counts, pixels: int) -> tuple[Values, Values]:
    """Return the mean and standard deviation of each channel, levels scaled to [0, 1].

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
        split_by: what determines which scenes are in it.
        samples: the complete pairs.
        sound: those of them without a problem.
        sizes: how many images there are of each (height, width).
        pixels: (K,) pixels of each class.
        pixels_where_present: (K,) all pixels of the scenes that hold each class.
        ignored: pixels that are ignored.
        level_sums: (3,) sums of the images' levels.
        square_sums: (3,) sums of their squares.
        image_pixels: how many pixels these sums are of.
        digests: picture -> the images that hold it.
        unknown: ids and colours of no class -> how many labels hold them.
        turned: the images that are shown turned or mirrored by their EXIF orientation.
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

    def add(self, sample: Sample, scene: SceneStatistics) -> None:
        """Count one scene."""
        self.samples.append(sample)
        if not scene.problems:
            self.sound.append(sample)
        if scene.size is not None:
            self.sizes[scene.size] += 1
            self.image_pixels += scene.size[0] * scene.size[1]
            self.level_sums += scene.levels @ _LEVELS
            self.square_sums += scene.levels @ _LEVELS**2
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
        if not self.pixels.any():
            return []
        return [name for name, count in zip(self.classes.names, self.pixels, strict=True) if count == 0]

    @property
    def mean(self) -> float:
        """The mean level of all channels, 0 to 1."""
        return float(mean_and_std(self.level_sums, self.square_sums, self.image_pixels)[0].mean())

    def as_dict(self) -> dict[str, object]:
        """Return the numbers in plain containers."""
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


@dataclass(frozen=True)
class Survey:
    """What a dataset holds.

    Attributes:
        name: the dataset.
        root: its folder.
        classes: its classes.
        splits: what each split holds, by name; those that cannot be found are left out.
        findings: all that is wrong.
        weighed: the split that class weights are of; None where none was read.
    """

    name: str
    root: str
    classes: ClassSet
    splits: dict[str, SplitSurvey]
    findings: list[Finding]
    weighed: str | None

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
    progress: Progress | None = None,
    options: Mapping[str, object] | None = None,
) -> Survey:
    """Read every file of a dataset.

    Args:
        name: one of :func:`transkd.data.available_datasets`.
        root: its folder.
        splits: the splits to read, None for all that are there.
        train_split: the split that is trained on, whose class weights are computed.
        val_split: the split that is validated on.
        workers: processes that read; 0 reads in this one.
        progress: called with (scenes read, scenes in all).
        options: what else the dataset takes.

    Returns:
        What was found; files that are wrong are among its findings.

    Raises:
        ConfigError: if the dataset or an option does not exist.
        DataError: if the root or the classes are missing.
    """
    options = dict(options or {})
    classes = classes_of(name, root, **options)
    chosen = list(splits) if splits is not None else find_splits(name, root, **options)
    findings: list[Finding] = []
    found: dict[str, Scenes] = {}
    for split in chosen:
        try:
            found[split] = find_incomplete_scenes(name, root, split, **options)
        except DataError as error:
            findings.append(Finding(Kind.SPLIT, split, str(error), split))
    read = {split: SplitSurvey(split, scenes.split_by, classes) for split, scenes in found.items()}
    for split, scenes in found.items():
        findings += _unmatched(split, scenes)
    total, done = sum(len(scenes.samples) for scenes in found.values()), 0
    for split, scenes in found.items():
        for sample, scene in zip(scenes.samples, _read_scenes(scenes, workers), strict=True):
            read[split].add(sample, scene)
            for kind, message in scene.problems:
                file = sample.image if kind is Kind.IMAGE else sample.label
                findings.append(Finding(kind, split, message, str(file)))
            done += 1
            if progress is not None:
                progress(done, total)
    for one, other in combinations(_disjoint(read, train_split, val_split), 2):
        findings += _shared(read[one], read[other])
    # Without those that were found again in another split of the same files.
    distinct = {(finding.kind, finding.message): finding for finding in reversed(findings)}
    weighed = train_split if train_split in read else next(iter(read), None)
    root = str(Path(root).expanduser().absolute())
    return Survey(name, root, classes, read, list(distinct.values())[::-1], weighed)


def _disjoint(read: Mapping[str, SplitSurvey], train_split: str, val_split: str) -> list[str]:
    """Name the splits that must share no image; VOC's trainval, say, is meant to hold others."""
    train = train_split if train_split in read else "train"
    val = val_split if val_split in read else "val"
    wanted = [split for split in dict.fromkeys((train, val, "test")) if split in read]
    return wanted if len(wanted) > 1 else list(read)


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
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _unmatched(split: str, scenes: Scenes) -> Iterator[Finding]:
    for place in scenes.unmatched:
        advice = f" {place.hint}" if place.hint else ""
        for names, what in (
            (place.images, "image without a label"),
            (place.labels, "label without an image"),
            (place.nowhere, "name of no file"),
        ):
            for name in names:
                yield Finding(Kind.UNMATCHED, split, f"{name}: {what} ({place.where}).{advice}", name)
                advice = ""


def _shared(one: SplitSurvey, other: SplitSurvey) -> Iterator[Finding]:
    for digest, paths in one.digests.items():
        for path in other.digests.get(digest, []):
            same = f"{path} is in both" if path == paths[0] else f"{paths[0]} and {path} hold the same picture"
            yield Finding(Kind.SHARED, f"{one.name} and {other.name}", same, str(path))
