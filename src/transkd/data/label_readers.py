"""From label files to class ids: by the ids that a file holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from transkd.data.classes import ClassSet
from transkd.data.labels import IDS_ADVICE, class_lookup, to_class_ids
from transkd.data.mask_files import read_label


class LabelReader(Protocol):
    """Anything that reads a label file as (H, W) uint8 class ids and ignore ids, or raises a DataError."""

    def __call__(self, path: Path) -> npt.NDArray[np.uint8]:
        """Read one file."""


@dataclass(frozen=True, eq=False)
class IdReader:
    """Reads files of one id a pixel.

    Attributes:
        lookup: (256,) uint8, from the ids in the files to class ids (see ``data/labels.py``).
        advice: what to do about ids outside the classes.
    """

    lookup: npt.NDArray[np.uint8]
    advice: str = IDS_ADVICE

    def __call__(self, path: Path) -> npt.NDArray[np.uint8]:
        """Read one file.

        Raises:
            DataError: if the file cannot be read, is no label, or holds ids outside the classes; names it.
        """
        return to_class_ids(read_label(path), self.lookup, path, self.advice)


def class_id_reader(classes: ClassSet, *, ignored: tuple[int, ...] = ()) -> IdReader:
    """Make the reader of files that hold class ids already; ``ignored`` are further ids that mean "ignore"."""
    return IdReader(class_lookup(classes, ignored=ignored))
