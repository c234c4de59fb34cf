"""List files: which scenes a split holds, one a line."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from transkd.data.datasets.layout import Layout, Sample, Unmatched, pair
from transkd.errors import DataError

LIST_SUFFIXES = (".txt", ".csv", ".tsv")
_SPLIT_COLUMNS = {"split", "subset", "fold", "set"}
_LONGEST_HEADING = 4096
_SEPARATORS = ("\t", ",", ";")
_IMAGE_COLUMNS, _MASK_COLUMNS = ("image", "image_path"), ("mask", "label", "mask_path", "label_path")


@dataclass(frozen=True)
class Row:
    """One line of a list file.

    Attributes:
        image: what names the image.
        mask: what names the mask, None where the line does not say.
        columns: the further columns by their heading.
        line: the line's number, from 1.
    """

    image: str
    mask: str | None
    line: int
    columns: Mapping[str, str] = field(default_factory=dict)


def read_rows(path: Path, *, is_name: Callable[[str], bool] = lambda _: False) -> list[Row]:
    """Read a list file.

    A line names an image, or an image and its mask, separated by a tab, a comma, a semicolon or blanks. Where the
    first line is a heading with a column "image", it names the columns: "mask" (or "label") and further ones.
    Empty lines and those that begin with # are skipped.

    Args:
        path: the file.
        is_name: returns whether a whole line is the name of an image, for names with blanks or commas.

    Returns:
        The rows, in the file's order.

    Raises:
        DataError: if the file cannot be read, is empty, or a line does not fit the others; names the line.
    """
    lines = [
        (i, text.strip(" ")) for i, text in enumerate(_read(path).splitlines(), 1) if text.strip() and text[0] != "#"
    ]
    separator = next((sign for sign in _SEPARATORS if lines and sign in lines[0][1]), None)
    heading = [name.lower() for name in _cells(lines[0][1], separator)] if lines else []
    if not any(name in heading for name in _IMAGE_COLUMNS) or is_name(lines[0][1]):
        rows = [
            Row(*_row(f"{path}, line {number}", text, [text] if is_name(text) else _cells(text, separator)), number)
            for number, text in lines
        ]
    else:
        twice = [name for name, count in Counter(heading).items() if count > 1]
        if twice:
            raise DataError(f"{path}, line 1: the heading names a column more than once ({twice[0]}); remove one.")
        named = [
            (number, *_named_row(f"{path}, line {number}", heading, _cells(text, separator)))
            for number, text in lines[1:]
        ]
        rows = [Row(image, mask, number, columns) for number, image, mask, columns in named]
    if not rows:
        raise DataError(f"{path}: the list is empty; it must name one image a line.")
    return rows


def pair_listed(
    layout: Layout, path: Path, images: Mapping[str, Path], labels: Mapping[str, Path]
) -> tuple[list[Sample], tuple[Unmatched, ...]]:
    """Pair the images and labels that a list names by their stems, for layouts where a stem says all.

    Args:
        layout: the dataset's layout.
        path: the list; folders and suffixes in it do not matter.
        images: stem -> image file, listed or not.
        labels: stem -> label file, listed or not.

    Returns:
        The pairs, and the listed names that lack an image or a label.

    Raises:
        DataError: if the list cannot be read, is empty or repeats itself.
    """
    rows = read_rows(path)
    names = [stem(row.image) for row in rows]
    refuse_repeated(path, rows, names)
    missing = tuple(sorted(name for name in names if name not in images and name not in labels))
    nowhere = (Unmatched(str(path), (), (), len(names) - len(missing), nowhere=missing),) if missing else ()
    if len(missing) == len(names):
        return [], nowhere
    samples, unmatched = pair(
        layout,
        str(path),
        {name: images[name] for name in names if name in images},
        {name: labels[name] for name in names if name in labels},
    )
    return samples, (*unmatched, *nowhere)


def stem(entry: str) -> str:
    """Return the last part of an entry without its suffix: ``a/0001.png`` is ``0001``."""
    last = entry.replace("\\", "/").rpartition("/")[2]
    head, dot, tail = last.rpartition(".")
    return head if dot and head and tail.isalnum() and not tail.isdigit() else last


def has_split_column(path: Path) -> bool:
    """Return whether a file is a table that assigns images to splits in a column, which is not read."""
    if path.suffix.lower() not in LIST_SUFFIXES or not path.is_file():
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        heading = re.split(r"[\t,;]", file.readline(_LONGEST_HEADING).strip().lower())
    return len(heading) > 1 and not _SPLIT_COLUMNS.isdisjoint(name.strip(' "') for name in heading)


def refuse_repeated(path: Path, rows: Sequence[Row], keys: Sequence[object]) -> None:
    """Raise a DataError that names the first line whose scene an earlier line named already."""
    seen: dict[object, int] = {}
    for row, key in zip(rows, keys, strict=True):
        if key in seen:
            raise DataError(f"{path}: lines {seen[key]} and {row.line} both name {row.image}; remove one.")
        seen[key] = row.line


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8."
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot read this list ({error.strerror}).") from error


def _cells(text: str, separator: str | None) -> list[str]:
    if separator is None:
        return [cell.strip('"') for cell in text.split()]
    return [cell.strip() for cell in next(csv.reader([text], delimiter=separator, skipinitialspace=True))]


def _row(where: str, text: str, cells: Sequence[str]) -> tuple[str, str | None]:
    """Return the image and the mask of a line of a list without a heading."""
    if len(cells) > 2:
        raise DataError(
            f"{where}: {len(cells)} columns ({text}); without a heading there may be two, the image and its mask, "
            "separated by a tab or a comma where names contain blanks. Name the columns in a first line: "
            "image,mask,group"
        )
    return cells[0], (cells[1] or None) if len(cells) == 2 else None


def _named_row(where: str, heading: Sequence[str], cells: Sequence[str]) -> tuple[str, str | None, dict[str, str]]:
    """Return the image, the mask and the further columns of a line below a heading."""
    if len(cells) != len(heading):
        raise DataError(f"{where}: {len(cells)} columns, but the heading names {len(heading)} ({', '.join(heading)}).")
    columns = dict(zip(heading, cells, strict=True))
    image = next(columns.pop(name) for name in _IMAGE_COLUMNS if name in columns)
    if not image:
        raise DataError(f"{where}: the column of the image is empty.")
    mask = next((columns.pop(name) for name in _MASK_COLUMNS if name in columns), None)
    return image, mask or None, columns
