"""Which mask belongs to which image, by their names."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from transkd.data.datasets.folder.options import FolderOptions
from transkd.data.datasets.folder.places import SIGNS, Place, Structure, like_split, share_out
from transkd.data.datasets.images import find_pictures, suffixes_in
from transkd.data.datasets.layout import Unmatched
from transkd.data.datasets.lists import LIST_SUFFIXES, Row, has_split_column, read_rows, refuse_repeated, stem
from transkd.data.samples import Sample
from transkd.errors import ConfigError, DataError, did_you_mean

_OTHER_NAMES = (
    "Unpack the missing files or remove the others; where names differ in other ways, lists can name both: "
    "train.txt and val.txt with 'image mask' a line"
)
_LONGEST_SUFFIX = 24


@dataclass(frozen=True)
class Match:
    """What two folders hold.

    Attributes:
        images: key -> path of the image, the key being the path below the folder without suffixes; all images.
        masks: key -> path of the mask, likewise.
        unmatched: what lacks its counterpart, if anything does.
    """

    images: dict[str, str]
    masks: dict[str, str]
    unmatched: tuple[Unmatched, ...]

    @property
    def keys(self) -> list[str]:
        """The keys of the complete pairs, sorted."""
        return sorted(self.images.keys() & self.masks.keys())


def match(place: Place, options: FolderOptions) -> Match:
    """Pair the files of two folders, without opening any.

    Raises:
        DataError: if a folder holds no pictures, or two files of the same name.
    """
    images, masks = _keyed(place, options)
    bare, orphans = images.keys() - masks.keys(), masks.keys() - images.keys()
    if not bare and not orphans:
        return Match(images, masks, ())
    hint = (
        _case_hint(bare, orphans)
        or _suffix_hint(bare, orphans)
        or _folder_hint(bare, orphans)
        or _format_hint(place.masks, bare)
        or _format_hint(place.images, orphans)
        or _OTHER_NAMES
    )
    unmatched = Unmatched(str(place), tuple(sorted(bare)), tuple(sorted(orphans)), len(images) - len(bare), hint)
    return Match(images, masks, (unmatched,))


def _keyed(place: Place, options: FolderOptions) -> tuple[dict[str, str], dict[str, str]]:
    found = find_pictures(place.images)
    if place.masks != place.images:
        images = _by_stem("images", place.images, found, options.image_suffix)
        masks = _by_stem("masks", place.masks, find_pictures(place.masks), options.mask_suffix)
        return images, masks
    rest, masked = share_out(found, options.mask_suffix)
    if not options.mask_suffix and not (rest and masked):
        raise DataError(
            f"{place.images} is named as the folder of both images and masks: set data.options.mask_suffix, "
            "what the names of the masks end in ('_mask')"
        )
    return (
        _by_stem("images", place.images, rest, options.image_suffix),
        _by_stem("masks", place.masks, masked, options.mask_suffix),
    )


def _by_stem(kind: str, folder: Path, files: Sequence[tuple[str, str]], suffix: str) -> dict[str, str]:
    if not files:
        raise DataError(f"{folder} holds no {kind}; the files there are: {suffixes_in(folder)}.")
    keyed: dict[str, str] = {}
    twins: list[str] = []
    folded: dict[str, str] = {}
    for name, path in files:
        key = _stem(name).removesuffix(suffix)
        same = folded.setdefault(key.casefold(), path)
        if same != path:
            twins.append(f"{os.path.relpath(same, folder)} and {os.path.relpath(path, folder)}")
        keyed[key] = path
    if twins:
        raise DataError(
            f"{folder}: {len(twins)} pairs of {kind} have the same name but for letter case, suffix or accents "
            f"({'; '.join(twins[:3])}{'; ...' if len(twins) > 3 else ''}); remove or rename one of each."
        )
    return keyed


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _case_hint(bare: Iterable[str], orphans: Iterable[str]) -> str:
    folded = {name.casefold() for name in bare}
    same = sum(name.casefold() in folded for name in orphans)
    return f"{same} of them differ in letter case only: rename the ones or the others." if same else ""


def _suffix_hint(bare: Iterable[str], orphans: Iterable[str]) -> str:
    """Name the suffixes without which images and masks would match, if there are such."""
    images, masks = list(bare), list(orphans)
    wanted = [(one, other) for one in _common_endings(images) for other in _common_endings(masks)]
    wanted += [("", other) for other in _common_endings(masks, anywhere=True)]
    for image_suffix, mask_suffix in wanted:
        if {name.removesuffix(image_suffix) for name in images} == {name.removesuffix(mask_suffix) for name in masks}:
            said = (("image_suffix", image_suffix), ("mask_suffix", mask_suffix))
            return "They match with " + " ".join(f"data.options.{key}={suffix}" for key, suffix in said if suffix)
    return ""


def _common_endings(names: Sequence[str], *, anywhere: bool = False) -> list[str]:
    """Return what all names end in, shortest first, and the empty ending; by default from a sign such as ``_`` on."""
    first, last = min(backwards := [name[::-1] for name in names], default=""), max(backwards, default="")
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    ending = first[: min(same, _LONGEST_SUFFIX)][::-1]
    return ["", *(ending[i:] for i in range(len(ending) - 1, -1, -1) if anywhere or ending[i] in SIGNS)]


def _folder_hint(bare: Iterable[str], orphans: Iterable[str]) -> str:
    """Tell that the same names lie in different folders, if they do."""
    images = {name.rpartition("/")[2]: name for name in bare}
    masks = {name.rpartition("/")[2]: name for name in orphans}
    same = sorted(images.keys() & masks.keys())
    if not same:
        return ""
    return (
        f"{len(same)} of them have the same name in other folders ({images[same[0]]} and {masks[same[0]]}): masks "
        "must lie in the same folders as images"
    )


def _format_hint(folder: Path, lacking: Iterable[str]) -> str:
    """Tell which formats are not read, if files of them are called like what lacks its counterpart."""
    wanted = set(lacking)
    others = Counter(path.suffix or "no suffix" for path in folder.iterdir() if _stem(path.name) in wanted)
    if not others:
        return ""
    listed = ", ".join(f"{count} of {suffix}" for suffix, count in others.most_common(3))
    return f"{folder} holds files that are no pictures by their names: {listed}; save them as PNG"


class FileIndex:
    """The files of one folder, by name, by path below the folder or by path below the root, with suffix or without.

    Args:
        root: the dataset's folder.
        folder: the files' folder.
        files: key -> path (see :class:`Match`).
    """

    def __init__(self, root: Path, folder: Path, files: Mapping[str, str]) -> None:
        below = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else "."
        self._prefix = "" if below == "." else f"{below}/"
        self._by_key = files

    def find(self, entry: str) -> str | None:
        """Return the file that an entry names.

        Raises:
            DataError: if it may name several.
        """
        for name in (entry, entry.removeprefix(self._prefix)):
            path = self._by_key.get(name) or self._by_path.get(name)
            if path is not None:
                return path
        found = self._by_name.get(entry)
        if isinstance(found, tuple):
            raise DataError(f"'{entry}' may be {found[0]} or {found[1]}: write the path in the list.")
        return found

    @cached_property
    def _by_path(self) -> dict[str, str]:
        """By path below the folder: with suffix, and without it but with what an option takes off the key."""
        named = {}
        for key, path in self._by_key.items():
            directory = key[: key.rfind("/") + 1]
            name = os.path.basename(path)  # noqa: PTH119
            named[directory + name] = path
            named[directory + name[: name.rfind(".")]] = path
        return named

    @cached_property
    def _by_name(self) -> dict[str, str | tuple[str, str]]:
        """By the last part alone; two files where there are several of a name."""
        named: dict[str, str | tuple[str, str]] = {}
        for path in self._by_key.values():
            last = os.path.basename(path)  # noqa: PTH119
            for name in (last, last[: last.rfind(".")]):
                other = named.setdefault(name, path)
                if isinstance(other, str) and other != path:
                    named[name] = (other, path)
        return named


class PlaceIndex:
    """The images and masks of several places.

    Args:
        root: the dataset's folder.
        matches: what each place holds.
        beside: another folder that entries may be relative to.
    """

    def __init__(self, root: Path, matches: Iterable[tuple[Place, Match]], *, beside: Path) -> None:
        self.names: dict[str, str] = {}
        self._folders = (root, beside)
        self._mask_of: dict[str, str] = {}
        self._images: list[FileIndex] = []
        self._masks: list[FileIndex] = []
        for place, found in matches:
            self.names |= {path: key for key, path in found.images.items()}
            self._mask_of |= {found.images[key]: found.masks[key] for key in found.keys}
            self._images.append(FileIndex(root, place.images, found.images))
            self._masks.append(FileIndex(root, place.masks, found.masks))

    def is_image(self, entry: str) -> bool:
        """Tell whether an entry names one of the images, whose files need not be asked for."""
        return any(index.find(entry.replace("\\", "/").removeprefix("./")) is not None for index in self._images)

    def image(self, entry: str) -> str | None:
        """Return the image that an entry names, None where there is none.

        Raises:
            DataError: if it may name several.
        """
        return self._find(self._images, entry)

    def mask(self, entry: str | None, image: str) -> str | None:
        """Return the mask that an entry names; without an entry, the one that is called like the image.

        Raises:
            DataError: if it may name several.
        """
        return self._mask_of.get(image) if entry is None else self._find(self._masks, entry)

    def _find(self, indices: Iterable[FileIndex], entry: str) -> str | None:
        name = entry.replace("\\", "/").removeprefix("./")
        found = {path: None for index in indices if (path := index.find(name)) is not None}
        if len(found) > 1:
            first, second, *_ = found
            raise DataError(f"'{entry}' may be {first} or {second}: write the path in the list.")
        if found:
            return next(iter(found))
        return next((path for path in self._paths(name) if os.path.isfile(path)), None)  # noqa: PTH113

    def _paths(self, name: str) -> Iterator[str]:
        """Give the paths that a name may be: below each folder, or from the top, which some lists call the root."""
        for entry in dict.fromkeys((name, name.lstrip("/"))):
            for folder in self._folders:
                yield os.path.normpath(os.path.join(folder, entry))  # noqa: PTH118


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
