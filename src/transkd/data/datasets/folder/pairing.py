"""Which mask belongs to which image: by equal names in two folders, or by a list."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from transkd.data.datasets.folder.structure import FolderOptions, FolderPair, like_split
from transkd.data.datasets.layout import IMAGE_SUFFIXES, Layout, Sample, Unmatched, contents, find_pictures, pair
from transkd.data.datasets.lists import LIST_SUFFIXES, has_split_column, read_rows, refuse_repeated
from transkd.errors import ConfigError, DataError, did_you_mean

LIST_FOLDERS = (".", "splits", "lists", "ImageSets", "ImageSets/Segmentation")
_OTHER_LISTS = (*LIST_SUFFIXES, ".lst", ".list", ".json", ".jsonl", ".yaml", ".yml")
_SEPARATORS = "_-. "  # between the name of an image and the ending of its mask's
_LONGEST_ENDING = 24
_OTHER_NAMES = (
    "Names must be equal below both folders but for the format. Add the missing files or remove the others; where "
    "names differ in other ways, lists can name both: train.txt and val.txt with 'image mask' a line"
)
_ENTRIES = (
    "Entries are names of images in folders that are recognised (images/ and masks/) or given (data.options.images, "
    "data.options.masks), or paths below the data root or beside the list"
)


class Match(NamedTuple):
    """What two folders hold, by key: the path below the folder without suffixes; samples are the complete pairs."""

    folders: FolderPair
    images: dict[str, Path]
    masks: dict[str, Path]
    samples: dict[str, Sample]
    unmatched: tuple[Unmatched, ...]


def match(layout: Layout, folders: FolderPair, options: FolderOptions) -> Match:
    """Pair the files of two folders, without opening any.

    Raises:
        DataError: if a folder holds no pictures, or two files of the same name.
    """
    image_files, mask_files = find_pictures(folders.images), find_pictures(folders.masks)
    if folders.masks == folders.images:
        image_files = [file for file in image_files if not _is_mask(file[0], options.mask_suffix)]
        mask_files = [file for file in mask_files if _is_mask(file[0], options.mask_suffix)]
        if not options.mask_suffix and not (image_files and mask_files):
            raise DataError(
                f"{folders.images} is given as the folder of both images and masks: set data.options.mask_suffix, "
                "what the names of the masks end in ('_mask')"
            )
    images = _by_key("images", folders.images, image_files, options.image_suffix)
    masks = _by_key("masks", folders.masks, mask_files, options.mask_suffix)
    samples, unmatched = pair(layout, str(folders), images, masks, name=_sample_name, hint=_hint)
    keys = sorted(images.keys() & masks.keys())
    return Match(folders, images, masks, dict(zip(keys, samples, strict=True)), unmatched)


def _is_mask(name: str, suffix: str) -> bool:
    """Return whether a file beside images is a mask: by the masks' suffix, or by format, since no JPEG is a mask."""
    return _stem(name).endswith(suffix) if suffix else not name.lower().endswith((".jpg", ".jpeg"))


def _by_key(kind: str, folder: Path, files: Sequence[tuple[str, Path]], suffix: str) -> dict[str, Path]:
    if not files:
        raise DataError(f"{folder} holds no {kind} in a format that is read. It holds {contents(folder)}.")
    keyed: dict[str, Path] = {}
    folded: dict[str, Path] = {}
    for name, path in files:
        key = _stem(name).removesuffix(suffix)
        twin = folded.setdefault(key.casefold(), path)
        if twin != path:
            raise DataError(
                f"{folder}: two {kind} have the same name but for letter case, suffix or accents "
                f"({twin.relative_to(folder)} and {path.relative_to(folder)}); remove or rename one of them."
            )
        keyed[key] = path
    return keyed


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _sample_name(key: str) -> str:
    return key.replace("\\", "/").strip("./").replace("/", "__")


def distinct(samples: list[Sample]) -> list[Sample]:
    """Return the samples, or raise a DataError if files made for one would overwrite those of another."""
    seen: dict[str, Sample] = {}
    for sample in samples:
        other = seen.setdefault(sample.name, sample)
        if other is not sample:
            raise DataError(f"{other.image} and {sample.image} would both be called {sample.name}; rename one of them.")
    return samples


def _hint(images: Sequence[str], masks: Sequence[str]) -> str:
    """Name the suffixes without which images and masks would match, if there are such."""
    folded = {name.casefold() for name in images}
    same = sum(name.casefold() in folded for name in masks)
    if same:
        return f"{same} of them differ in letter case only: rename the ones or the others."
    wanted = [(one, other) for one in _common_endings(images) for other in _common_endings(masks)]
    for image_suffix, mask_suffix in wanted:
        if {name.removesuffix(image_suffix) for name in images} == {name.removesuffix(mask_suffix) for name in masks}:
            given = {"image_suffix": image_suffix, "mask_suffix": mask_suffix}
            return "They match with " + " ".join(f"data.options.{key}={text}" for key, text in given.items() if text)
    return _OTHER_NAMES


def _common_endings(names: Sequence[str]) -> list[str]:
    """Return what all names end in from a sign such as ``_`` on, shortest first, after the empty ending."""
    ending = os.path.commonprefix([name[::-1] for name in names])[:_LONGEST_ENDING][::-1]  # noqa: RUF071
    return ["", *(ending[i:] for i in range(len(ending) - 1, -1, -1) if ending[i] in _SEPARATORS)]


def find_lists(root: Path, names: Collection[str]) -> tuple[dict[str, Path], list[Path]]:
    """Find the lists of the splits of these names, in lower case, and files that are called like one but not read.

    Raises:
        DataError: if a split has several.
    """
    found: dict[str, Path] = {}
    others = []
    folders = [root / name for name in LIST_FOLDERS if (root / name).is_dir()]
    for path in (path for folder in folders for path in sorted(folder.iterdir()) if path.is_file()):
        if path.suffix.lower() in LIST_SUFFIXES and path.stem.lower() in names:
            if path.stem in found:
                raise DataError(f"{found[path.stem]} and {path} are both lists of '{path.stem}'; remove one.")
            found[path.stem] = path
        elif path.suffix.lower() in _OTHER_LISTS and (
            like_split(path.stem) or path.stem in ("split", "splits") or has_split_column(path)
        ):
            others.append(path)
    return found, others


class FileIndex:
    """Files by the entries of a list: names with or without suffix below a folder or the root, or paths.

    Made of (folder, key -> file), as a :class:`Match` has them; entries may end in a suffix that keys do not.
    """

    def __init__(self, root: Path, path: Path, folders: Iterable[tuple[Path, Mapping[str, Path]]], suffix: str) -> None:
        self._bases = (root, path.parent)
        self._suffix = suffix
        self._files: dict[str, set[Path]] = defaultdict(set)
        for folder, files in folders:
            below = os.path.relpath(folder, root).replace(os.sep, "/")
            for key, file in files.items():
                self._files[key].add(file)
                self._files[f"{below}/{key}"].add(file)

    def known(self, entry: str) -> set[Path]:
        """Return the files in the folders that an entry may name."""
        name = _stem(entry) if entry.lower().endswith(IMAGE_SUFFIXES) else entry
        return self._files.get(name) or self._files.get(name.removesuffix(self._suffix)) or set()

    def find(self, entry: str) -> Path | None:
        """Return the file that an entry names, None where there is none; a DataError if it may name several."""
        entry = entry.replace("\\", "/").removeprefix("./")
        found = sorted(self.known(entry))
        if len(found) > 1:
            raise DataError(f"'{entry}' may be {found[0]} or {found[1]}: write the path in the list.")
        # Some lists write paths from the root as if it were the root of the file system.
        paths = (Path(os.path.normpath(base / part)) for part in (entry, entry.lstrip("/")) for base in self._bases)
        return found[0] if found else next((path for path in paths if path.is_file()), None)


def listed_samples(
    root: Path, path: Path, matches: Sequence[Match], options: FolderOptions
) -> tuple[list[Sample], tuple[Unmatched, ...]]:
    """Return the samples that a list names, in its order, and the names of what is missing.

    Its entries are names, with or without suffix, below the folder of the images, or paths below the root or beside
    the list. Without folders that match, the list must give paths of both.

    Raises:
        DataError: if the list is wrong, or an entry may be several files.
        ConfigError: if the column to group by is not in the list.
    """
    images = FileIndex(root, path, [(found.folders.images, found.images) for found in matches], options.image_suffix)
    masks = FileIndex(root, path, [(found.folders.masks, found.masks) for found in matches], options.mask_suffix)
    mask_of = {sample.image: sample.label for found in matches for sample in found.samples.values()}
    key_of = {image: key for found in matches for key, image in found.images.items()}
    rows = read_rows(path, is_name=lambda line: bool(images.known(line)))
    column, columns = (options.group or "group").lower(), rows[0].columns
    if options.group is not None and column not in columns:
        hint = did_you_mean(options.group, columns) if columns else "its first line names no further columns"
        raise ConfigError(f"data.options.group: {path} has no column '{options.group}'; {hint}")
    files = [images.find(row.image) for row in rows]
    refuse_repeated(path, rows, [image or row.image for image, row in zip(files, rows, strict=True)])
    samples: list[Sample] = []
    missing: list[str] = []
    unlabelled: list[str] = []
    for row, image in zip(rows, files, strict=True):
        if image is None:
            missing.append(row.image)
        elif mask := masks.find(row.mask) if row.mask else mask_of.get(image):
            name = _sample_name(key_of.get(image, _stem(row.image)))
            samples.append(Sample(image, mask, name, row.columns.get(column, "")))
        else:
            unlabelled.append(f"{row.image} with {row.mask}" if row.mask else row.image)
    unmatched = []
    if missing:
        unmatched.append(Unmatched(str(path), (), (), len(samples), _ENTRIES, tuple(missing)))
    if unlabelled:
        hint = next((place.hint for found in matches for place in found.unmatched), "")
        unmatched.append(Unmatched(str(path), tuple(unlabelled), (), len(samples), hint))
    return distinct(samples), tuple(unmatched)
