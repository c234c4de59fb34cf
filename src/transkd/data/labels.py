"""From the ids that a label file holds to class ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from transkd.data.classes import ClassSet
from transkd.data.reading import read_label
from transkd.errors import DataError

UNKNOWN_ID = 254
"""What a lookup table holds for ids that are no class; a class set has at most 254 classes, so none is it."""


class UnknownIdsError(DataError):
    """A label that holds ids or colours of no class.

    Attributes:
        values: these ids or colours, as people write them; of very many, the most frequent ones.
    """

    def __init__(self, message: str, values: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.values = tuple(values)


LabelReader = Callable[[Path], npt.NDArray[np.uint8]]
"""Reads a label file as (H, W) uint8 class ids and ignore ids, or raises a DataError."""


def lookup_table(ids: Mapping[int, int]) -> npt.NDArray[np.uint8]:
    """Return the table that maps the ids of label files to class ids.

    Args:
        ids: file id -> class id or ignore id. Negative file ids mean what they are as uint8 (-1 is 255).

    Returns:
        (256,) uint8; :data:`UNKNOWN_ID` for every id not in ``ids``.
    """
    table = np.full(256, UNKNOWN_ID, dtype=np.uint8)
    for raw, class_id in ids.items():
        table[raw % 256] = class_id
    return table


@dataclass(frozen=True, eq=False)
class IdReader:
    """Reads files of one id a pixel.

    Attributes:
        lookup: (256,) uint8, from the ids in the files to class ids: :func:`lookup_table`.
        advice: what to do about ids outside the classes.
    """

    lookup: npt.NDArray[np.uint8]
    advice: str = "Check that data.name fits these files and that they hold ids, not colours."

    def __call__(self, path: Path) -> npt.NDArray[np.uint8]:
        """Read one file, or raise a DataError that names it."""
        return to_class_ids(read_label(path), self.lookup, path, self.advice)


def class_id_reader(classes: ClassSet, *, ignored: tuple[int, ...] = ()) -> IdReader:
    """Return the reader of files that hold class ids already; ``ignored`` are further ids that mean "ignore"."""
    ids = {index: index for index in range(classes.num_classes)}
    return IdReader(lookup_table(ids | dict.fromkeys((*ignored, classes.ignore_index), classes.ignore_index)))


def to_class_ids(
    raw: npt.NDArray[np.uint8], lookup: npt.NDArray[np.uint8], path: Path, advice: str
) -> npt.NDArray[np.uint8]:
    """Map the ids (H, W) of a label file to class ids and ignore ids.

    Raises:
        UnknownIdsError: if an id has no entry in the table; names the file and the ids, and adds the advice.
    """
    mapped = np.take(lookup, raw)
    unknown = mapped == UNKNOWN_ID
    if unknown.any():
        found, counts = np.unique(raw[unknown], return_counts=True)
        listed = ", ".join(f"{i} ({n} pixels)" for i, n in zip(found[:8].tolist(), counts[:8].tolist(), strict=True))
        more = f" and {len(found) - 8} more" if len(found) > 8 else ""
        known = _ranges(np.flatnonzero(lookup != UNKNOWN_ID).tolist())
        message = f"{path}: label ids outside the classes: {listed}{more}. Known ids are {known}. {advice}"
        raise UnknownIdsError(message, map(str, found.tolist()))
    return mapped


def _ranges(ids: list[int]) -> str:
    """Write sorted ids compactly: 0-18, 255."""
    starts = [i for i in ids if i - 1 not in ids]
    ends = [i for i in ids if i + 1 not in ids]
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))
