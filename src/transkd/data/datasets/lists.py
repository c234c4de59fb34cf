"""List files: which scenes a split holds, one a line."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from transkd.data.datasets.layout import Layout, Sample, Unmatched, pair
from transkd.errors import DataError

LIST_SUFFIXES = (".txt", ".csv", ".tsv")
_SPLIT_COLUMNS = {"split", "subset", "fold", "set"}
_LONGEST_HEADING = 4096
_IMAGE_COLUMNS, _MASK_COLUMNS = ("image", "image_path"), ("mask", "label", "mask_path", "label_path")


class Row(NamedTuple):
    """One line of a list file."""

    line: int  # the line's number, from 1
    image: str  # what names the image
    mask: str  # what names the mask; empty where the line does not
    columns: Mapping[str, str]  # the further columns by their heading, in lower case


def read_rows(path: Path, *, is_name: Callable[[str], bool] = lambda _: False) -> list[Row]:
    """Read a list file.

    A line names an image, or an image and its mask, separated by a tab, a comma, a semicolon or blanks. Where the
    first line is a heading with a column "image", it names the columns: "mask" (or "label") and further ones.
    Empty lines and those that begin with # are skipped.

    Args:
        path: the file.
        is_name: returns whether a whole line is the name of an image, for names with blanks or commas.

    Raises:
        DataError: if the file cannot be read, is empty, or a line does not fit the others; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read this list ({error}); it must be a text file in UTF-8.") from error
    lines = [(i, line.strip(" ")) for i, line in enumerate(text.splitlines(), 1) if line.strip() and line[0] != "#"]
    separator = _separator(lines[0][1]) if lines else None
    heading = [name.lower() for name in _cells(lines[0][1], separator)] if lines else []
    named = any(name in heading for name in _IMAGE_COLUMNS) and not is_name(lines[0][1])
    if named and len(set(heading)) < len(heading):
        raise DataError(f"{path}: the heading names a column twice ({', '.join(heading)}); rename or remove one.")
    rows = []
    for number, line in lines[1:] if named else lines:
        cells = [line] if is_name(line) and not named else _cells(line, separator)
        names = heading if named else ["image", "mask"][: len(cells)]
        if len(cells) != len(names):
            expected = (
                f"the heading names {len(names)} ({', '.join(names)})"
                if named
                else (
                    "without a heading there may be two, the image and its mask, separated by a tab or a comma where "
                    "names contain blanks. Name the columns in a first line: image,mask,group"
                )
            )
            raise DataError(f"{path}, line {number}: {len(cells)} columns ({line}), but {expected}")
        columns = dict(zip(names, cells, strict=True))
        image = next(columns.pop(name) for name in _IMAGE_COLUMNS if name in columns)
        mask = next((columns.pop(name) for name in _MASK_COLUMNS if name in columns), "")
        rows.append(Row(number, image, mask, columns))
    if not rows:
        raise DataError(f"{path}: the list is empty; it must name one image a line.")
    return rows


def has_split_column(path: Path) -> bool:
    """Return whether a file is a table that assigns images to splits in a column, which is not read."""
    if path.suffix.lower() not in LIST_SUFFIXES:
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        line = file.readline(_LONGEST_HEADING).strip().lower()
    separator = _separator(line)
    return separator is not None and not _SPLIT_COLUMNS.isdisjoint(_cells(line, separator))


def _separator(line: str) -> str | None:
    return next((sign for sign in "\t,;" if sign in line), None)


def _cells(line: str, separator: str | None) -> list[str]:
    if separator is None:
        return [cell.strip('"') for cell in line.split()]
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]


def pair_listed(
    layout: Layout, path: Path, images: Mapping[str, Path], labels: Mapping[str, Path]
) -> tuple[list[Sample], tuple[Unmatched, ...]]:
    """Pair the images and labels (stem -> file) that a list names; folders and suffixes in it do not matter.

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
    listed = [{name: files[name] for name in names if name in files} for files in (images, labels)]
    samples, unmatched = pair(layout, str(path), *listed)
    return samples, (*unmatched, *nowhere)


def stem(entry: str) -> str:
    """Return the last part of an entry without its suffix: ``a/0001.png`` is ``0001``."""
    last = entry.replace("\\", "/").rpartition("/")[2]
    head, dot, tail = last.rpartition(".")
    return head if dot and head and tail.isalnum() and not tail.isdigit() else last


def first_stem(path: Path) -> str | None:
    """Return the stem of the first image that a list names; None where the file is no list."""
    try:
        return stem(read_rows(path)[0].image)
    except DataError:
        return None


def refuse_repeated(path: Path, rows: Sequence[Row], keys: Sequence[object]) -> None:
    """Raise a DataError that names the first line whose scene an earlier line named already."""
    seen: dict[object, int] = {}
    for row, key in zip(rows, keys, strict=True):
        if key in seen:
            raise DataError(f"{path}: lines {seen[key]} and {row.line} both name {row.image}; remove one.")
        seen[key] = row.line
