"""List files: which scenes a split holds, one a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from transkd.data.datasets.layout import Layout, Pairs, Unmatched, pair
from transkd.errors import DataError

LIST_SUFFIXES = (".txt", ".csv", ".tsv")
_SEPARATORS = ("\t", ",", ";")
_IMAGE_COLUMN, _MASK_COLUMNS = "image", ("mask", "label")


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
    first line is a heading that begins with "image", it names the columns: "mask" (or "label") and further ones.
    Empty lines and those that begin with # are left out.

    Args:
        path: the file.
        is_name: tells whether a whole line is the name of an image, for names with blanks.

    Returns:
        The rows, in the file's order.

    Raises:
        DataError: if the file cannot be read, is empty, or a line does not fit the others; names the line.
    """
    lines = [(i, text) for i, text in enumerate(_text(path).splitlines(), 1) if text.strip() and text[0] != "#"]
    if not lines:
        raise DataError(f"{path}: the list is empty; it must name one image a line.")
    separator = next((sign for sign in _SEPARATORS if sign in lines[0][1]), None)
    heading = [name.strip().lower() for name in _cells(lines[0][1], separator)]
    if heading[0] == _IMAGE_COLUMN:
        return [_named_row(path, heading, number, _cells(text, separator)) for number, text in lines[1:]]
    rows = []
    for number, text in lines:
        cells = [text.strip()] if separator is None and is_name(text.strip()) else _cells(text, separator)
        if len(cells) > 2:
            raise DataError(
                f"{path}, line {number}: {len(cells)} columns ({text.strip()}); without a heading there may be two, "
                "the image and its mask. Name the columns in a first line: image,mask,group"
            )
        rows.append(Row(cells[0], cells[1] if len(cells) == 2 else None, number))
    return rows


def pair_listed(layout: Layout, path: Path, images: Mapping[str, Path], labels: Mapping[str, Path]) -> Pairs:
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
    found = pair(
        layout,
        str(path),
        {name: images[name] for name in names if name in images},
        {name: labels[name] for name in names if name in labels},
    )
    missing = tuple(sorted(name for name in names if name not in images and name not in labels))
    if not missing:
        return found
    nowhere = Unmatched(f"{path}, names that have neither image nor label", missing, (), len(found.samples))
    return Pairs(found.samples, (*found.unmatched, nowhere))


def stem(entry: str) -> str:
    """Return the last part of an entry without its suffix: ``a/0001.png`` is ``0001``."""
    last = entry.replace("\\", "/").rpartition("/")[2]
    head, dot, tail = last.rpartition(".")
    return head if dot and head and tail.isalnum() and not tail.isdigit() else last


def refuse_repeated(path: Path, rows: Sequence[Row], keys: Sequence[object]) -> None:
    """Raise a DataError that names the first line whose scene an earlier line named already."""
    seen: dict[object, int] = {}
    for row, key in zip(rows, keys, strict=True):
        if key in seen:
            raise DataError(f"{path}: lines {seen[key]} and {row.line} both name {row.image}; remove one.")
        seen[key] = row.line


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start}).") from error
    except OSError as error:
        raise DataError(f"{path}: cannot read this list ({error.strerror}).") from error


def _cells(text: str, separator: str | None) -> list[str]:
    return [cell.strip().strip('"') for cell in text.split(separator)]


def _named_row(path: Path, heading: Sequence[str], number: int, cells: Sequence[str]) -> Row:
    if len(cells) != len(heading) or not cells[0]:
        raise DataError(
            f"{path}, line {number}: {len(cells)} columns, but the heading names {len(heading)} ({', '.join(heading)})."
        )
    columns = dict(zip(heading, cells, strict=True))
    image = columns.pop(_IMAGE_COLUMN)
    mask = next((columns.pop(name) for name in _MASK_COLUMNS if name in columns), None)
    return Row(image, mask or None, number, columns)
