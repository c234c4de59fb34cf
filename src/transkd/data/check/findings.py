"""What can be wrong with a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
