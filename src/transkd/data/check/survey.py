"""A dataset read in full, split by split."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

from transkd.data.check.split_survey import (
    Finding,
    Kind,
    SceneFacts,
    SplitSurvey,
    erfnet_weights,
    median_frequency_weights,
    read_facts,
)
from transkd.data.classes import ClassSet
from transkd.data.datasets import Scenes, classes_of, find_incomplete_scenes, find_splits
from transkd.data.samples import Sample
from transkd.data.transforms import single_threaded_opencv
from transkd.errors import DataError

Progress = Callable[[int, int], None]


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
        """Give one weight a class, by ERFNet's rule and by median frequency; empty where no label was read."""
        split = self.splits.get(self.weighed or "")
        if split is None or not split.pixels.any():
            return {}
        weights = {
            "erfnet": erfnet_weights(split.pixels),
            "median_frequency": median_frequency_weights(split.pixels, split.pixels_where_present),
        }
        return {rule: values.round(6).tolist() for rule, values in weights.items()}

    def as_dict(self) -> dict[str, object]:
        """Give everything in plain containers."""
        return {
            "dataset": self.name,
            "root": self.root,
            "classes": list(self.classes.names),
            "palette": [list(colour) for colour in self.classes.palette],
            "splits": {name: split.as_dict() for name, split in self.splits.items()},
            "class_weights": {"split": self.weighed, **self.class_weights()},
            "problems": [
                {
                    "kind": finding.kind.name.lower(),
                    "split": finding.split,
                    "file": finding.file,
                    "message": finding.message,
                }
                for finding in self.findings
            ],
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
        train_split: the split that is trained on, whose class weights are told.
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
    for split, sample, facts in _read_all(found, workers, progress):
        read[split].add(sample, facts)
        findings += [Finding(kind, split, message, str(_file(kind, sample))) for kind, message in facts.problems]
    for one, other in combinations(_disjoint(read, train_split, val_split), 2):
        findings += _shared(read[one], read[other])
    weighed = train_split if train_split in read else next(iter(read), None)
    return Survey(name, str(Path(root).expanduser().absolute()), classes, read, _each_once(findings), weighed)


def _disjoint(read: Mapping[str, SplitSurvey], train_split: str, val_split: str) -> list[str]:
    """Name the splits that must share no image; VOC's trainval, say, is meant to hold others."""
    train = train_split if train_split in read else "train"
    val = val_split if val_split in read else "val"
    wanted = [split for split in dict.fromkeys((train, val, "test")) if split in read]
    return wanted if len(wanted) > 1 else list(read)


def _read_all(
    found: dict[str, Scenes], workers: int, progress: Progress | None
) -> Iterator[tuple[str, Sample, SceneFacts]]:
    total, done = sum(len(scenes.samples) for scenes in found.values()), 0
    for split, scenes in found.items():
        for sample, facts in zip(scenes.samples, _facts(scenes, workers), strict=True):
            done += 1
            if progress is not None:
                progress(done, total)
            yield split, sample, facts


def _facts(scenes: Scenes, workers: int) -> Iterable[SceneFacts]:
    read = partial(read_facts, scenes.read_label)
    if workers <= 0 or len(scenes.samples) < 2:
        yield from map(read, scenes.samples)
        return
    with ProcessPoolExecutor(min(workers, os.cpu_count() or 1), initializer=single_threaded_opencv) as pool:
        try:
            yield from pool.map(read, scenes.samples, chunksize=8)
        except BrokenProcessPool as error:
            raise DataError("A process that reads died, perhaps for want of memory: try workers=0.") from error
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


def _each_once(findings: Iterable[Finding]) -> list[Finding]:
    """Leave out what was found again in another split of the same files."""
    return list({(finding.kind, finding.message): finding for finding in reversed(list(findings))}.values())[::-1]


def _shared(one: SplitSurvey, other: SplitSurvey) -> Iterator[Finding]:
    for digest, paths in one.digests.items():
        for path in other.digests.get(digest, []):
            same = f"{path} is in both" if path == paths[0] else f"{paths[0]} and {path} hold the same picture"
            yield Finding(Kind.SHARED, f"{one.name} and {other.name}", same, str(path))


def _file(kind: Kind, sample: Sample) -> Path:
    return sample.image if kind is Kind.IMAGE else sample.label
