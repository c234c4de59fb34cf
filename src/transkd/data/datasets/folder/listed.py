"""The scenes that a list file of a folder of one's own names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from transkd.data.datasets.folder.index import PlaceIndex
from transkd.data.datasets.folder.matching import match
from transkd.data.datasets.folder.options import FolderOptions
from transkd.data.datasets.folder.places import Structure, like_split
from transkd.data.datasets.layout import Unmatched
from transkd.data.datasets.lists import LIST_SUFFIXES, Row, has_split_column, read_rows, refuse_repeated, stem
from transkd.data.samples import Sample
from transkd.errors import ConfigError, DataError, did_you_mean

FOLDERS = (".", "splits", "lists", "ImageSets", "ImageSets/Segmentation")
_GROUP = "group"
_OTHER_SUFFIXES = (*LIST_SUFFIXES, ".lst", ".list", ".json", ".jsonl", ".yaml", ".yml")
_ENTRIES = "Entries are names of images, or paths below the data root or beside the list"
_NO_FOLDERS = (
    "; names alone need folders that are found by their names, images/ and masks/, or by data.options.images=FOLDER "
    "data.options.masks=FOLDER"
)


def find_lists(root: Path, names: Iterable[str]) -> dict[str, Path]:
    """Find the list files of splits.

    Args:
        root: the dataset's folder.
        names: splits that a list may be of, in lower case.

    Raises:
        DataError: if a split has several.
    """
    known = set(names)
    found: dict[str, Path] = {}
    for folder in (root / name for name in FOLDERS):
        paths = sorted(folder.iterdir()) if folder.is_dir() else []
        for path in paths:
            if path.suffix.lower() in LIST_SUFFIXES and path.stem.lower() in known and path.is_file():
                if path.stem in found:
                    raise DataError(f"{found[path.stem]} and {path} are both lists of '{path.stem}'; remove one.")
                found[path.stem] = path
    return found


def refuse_other_lists(root: Path) -> None:
    """Raise a DataError if a file that is not read is called like a list of a split, so that none is overlooked."""
    for folder in (root / name for name in FOLDERS):
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            called_so = like_split(path.stem) or path.stem.lower() in ("split", "splits") or has_split_column(path)
            if called_so and path.suffix.lower() in _OTHER_SUFFIXES and path.is_file():
                raise DataError(
                    f"{path} looks like a list of a split, but is not read: lists are train.txt and val.txt "
                    "(or .csv), with an image a line. To share out the scenes without it: "
                    "data.options.splits=fraction"
                )


def listed_samples(
    root: Path, path: Path, structure: Structure | None, options: FolderOptions
) -> tuple[list[Sample], tuple[Unmatched, ...]]:
    """Find the files that a list names.

    Args:
        root: the dataset's folder.
        path: the list. Its entries are names, with or without suffix, below the folder of the images, or paths
            below the root.
        structure: where images and masks lie; None where the list must give paths of both.
        options: the dataset's.

    Returns:
        The samples in the list's order, and the names of what is missing.

    Raises:
        DataError: if the list is wrong, or an entry may be several files.
        ConfigError: if the column to group by is not in the list.
    """
    matches = [(place, match(place, options)) for place in (structure.places if structure else ())]
    index = PlaceIndex(root, matches, beside=path.parent)
    rows = read_rows(path, is_name=index.is_image)
    images = [_told(path, row, index.image, row.image) for row in rows]
    refuse_repeated(path, rows, [image or row.image for image, row in zip(images, rows, strict=True)])
    group = _group_column(path, rows, options)
    samples: list[Sample] = []
    missing: list[str] = []
    unlabelled: list[str] = []
    for row, image in zip(rows, images, strict=True):
        mask = None if image is None else _told(path, row, index.mask, row.mask, image)
        if image is None:
            missing.append(row.image)
        elif mask is None:
            unlabelled.append(f"{row.image} with {row.mask}" if row.mask else row.image)
        else:
            name = index.names.get(image, row.image.rpartition(".")[0] or row.image)
            samples.append(Sample(Path(image), Path(mask), sample_name(name), row.columns.get(group, "")))
    refuse_equal_names(samples)
    hint = next((found.hint for _, matched in matches for found in matched.unmatched if found.hint), "")
    unmatched = []
    if missing:
        advice = _advice(index, missing[0]) + ("" if structure else _NO_FOLDERS)
        unmatched.append(Unmatched(str(path), (), (), len(samples), advice, tuple(missing)))
    if unlabelled:
        unmatched.append(Unmatched(str(path), tuple(unlabelled), (), len(samples), hint))
    return samples, tuple(unmatched)


def _told(path: Path, row: Row, find: Callable[..., str | None], *entry: str | None) -> str | None:
    """Find what a line names; name the list and the line in errors."""
    try:
        return find(*entry)
    except DataError as error:
        raise DataError(f"{path}, line {row.line}: {error}") from None


def refuse_equal_names(samples: Iterable[Sample]) -> None:
    """Raise a DataError if files made for one scene would overwrite those of another."""
    seen: dict[str, Sample] = {}
    for sample in samples:
        other = seen.setdefault(sample.name, sample)
        if other is not sample:
            raise DataError(f"{other.image} and {sample.image} would both be called {sample.name}; rename one of them.")


def _advice(index: PlaceIndex, entry: str) -> str:
    """Say what entries are, and which file a wrong one comes close to."""
    try:
        near = index.image(stem(entry))
    except DataError:
        near = None
    return f"{_ENTRIES}; {entry} may be {near}" if near else _ENTRIES


def sample_name(key: str) -> str:
    """Turn a path into a name for files."""
    return key.replace("\\", "/").strip("./").replace("/", "__")


def _group_column(path: Path, rows: Sequence[Row], options: FolderOptions) -> str:
    columns = rows[0].columns
    if options.group is not None and options.group.lower() not in columns:
        hint = did_you_mean(options.group, columns) if columns else "its first line names no further columns"
        raise ConfigError(f"data.options.group: {path} has no column '{options.group}'; {hint}")
    return (options.group or _GROUP).lower()
