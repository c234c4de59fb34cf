"""What names one scene on disk, and one draw of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


@dataclass(frozen=True)
class Sample:
    """One scene: an image and its label on disk.

    Attributes:
        image: the image file.
        label: the label file, one id a pixel.
        name: unique within its split and usable as a file name.
        group: what scores may be grouped by, such as a weather condition; empty where nothing is.
    """

    image: Path
    label: Path
    name: str
    group: str = ""


class Pick(NamedTuple):
    """One draw of a sample: everything that its augmentation may depend on besides the seed.

    Attributes:
        epoch: the epoch, from 0.
        index: the sample's place in ``dataset.samples``.
        padding: True where the pick only fills up a batch; its label is then all ignored.
    """

    epoch: int
    index: int  # type: ignore[assignment]
    padding: bool = False
