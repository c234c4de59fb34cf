"""What the scenes of one split hold, counted one by one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from transkd.data.check.scene_facts import SceneFacts
from transkd.data.check.statistics import Counts, mean_and_std
from transkd.data.classes import ClassSet
from transkd.data.samples import Sample


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
