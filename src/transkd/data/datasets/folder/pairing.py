"""Which mask belongs to which image: by equal names in two folders, or as a list says."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from transkd.data.datasets.folder.options import FolderOptions
from transkd.data.datasets.folder.structure import FolderPair, Structure, like_split
from transkd.data.datasets.images import find_pictures, suffixes_in
from transkd.data.datasets.layout import Sample, Unmatched
from transkd.data.datasets.lists import LIST_SUFFIXES, Row, has_split_column, read_rows, refuse_repeated, stem
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


def match(pair: FolderPair, options: FolderOptions) -> Match:
    """Pair the files of two folders, without opening any.

    Raises:
        DataError: if a folder holds no pictures, or two files of the same name.
    """
    image_files: Files = find_pictures(pair.images)
    if pair.masks != pair.images:
        mask_files: Files = find_pictures(pair.masks)
    else:
        image_files, mask_files = _divide(image_files, options.mask_suffix)
        if not options.mask_suffix and not (image_files and mask_files):
            raise DataError(
                f"{pair.images} is given as the folder of both images and masks: set data.options.mask_suffix, "
                "what the names of the masks end in ('_mask')"
            )
    images = _by_key("images", pair.images, image_files, options.image_suffix)
    masks = _by_key("masks", pair.masks, mask_files, options.mask_suffix)
    bare, orphans = sorted(images.keys() - masks.keys()), sorted(masks.keys() - images.keys())
    if not bare and not orphans:
        return Match(images, masks, ())
    hint = _hint(bare, orphans)
    return Match(images, masks, (Unmatched(str(pair), tuple(bare), tuple(orphans), len(images) - len(bare), hint),))


Files = Sequence[tuple[str, str]]


def _divide(files: Files, mask_suffix: str) -> tuple[Files, Files]:
    """Tell images from masks in one folder: by the masks' suffix, or without one by format, since no JPEG is a mask."""

    def is_mask(name: str) -> bool:
        return _stem(name).endswith(mask_suffix) if mask_suffix else not name.lower().endswith((".jpg", ".jpeg"))

    return [file for file in files if not is_mask(file[0])], [file for file in files if is_mask(file[0])]


def _by_key(kind: str, folder: Path, files: Files, suffix: str) -> dict[str, str]:
    if not files:
        raise DataError(f"{folder} holds no {kind}; the files there are: {suffixes_in(folder)}.")
    keyed: dict[str, str] = {}
    folded: dict[str, str] = {}
    for name, path in files:
        key = _stem(name).removesuffix(suffix)
        twin = folded.setdefault(key.casefold(), path)
        if twin != path:
            raise DataError(
                f"{folder}: two {kind} have the same name but for letter case, suffix or accents "
                f"({os.path.relpath(twin, folder)} and {os.path.relpath(path, folder)}); remove or rename one of them."
            )
        keyed[key] = path
    return keyed


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _hint(images: Sequence[str], masks: Sequence[str]) -> str:
    """Name the suffixes without which images and masks would match, if there are such."""
    folded = {name.casefold() for name in images}
    same = sum(name.casefold() in folded for name in masks)
    if same:
        return f"{same} of them differ in letter case only: rename the ones or the others."
    wanted = [(one, other) for one in _common_endings(images) for other in _common_endings(masks)]
    wanted += [("", other) for other in _common_endings(masks, anywhere=True)]
    for image_suffix, mask_suffix in wanted:
        if {name.removesuffix(image_suffix) for name in images} == {name.removesuffix(mask_suffix) for name in masks}:
            given = {"image_suffix": image_suffix, "mask_suffix": mask_suffix}
            return "They match with " + " ".join(f"data.options.{key}={text}" for key, text in given.items() if text)
    return _OTHER_NAMES


def _common_endings(names: Sequence[str], *, anywhere: bool = False) -> list[str]:
    """Return what all names end in, shortest first, and the empty ending; by default from a sign such as ``_`` on."""
    ending = os.path.commonprefix([name[::-1] for name in names])[:_LONGEST_ENDING][::-1]  # noqa: RUF071
    starts = [i for i in range(len(ending) - 1, -1, -1) if anywhere or ending[i] in _SEPARATORS]
    return ["", *(ending[i:] for i in starts)]


def samples_of(found: Match, keys: Iterable[str]) -> list[Sample]:
    """Return the samples of some keys of a match."""
    samples = [Sample(Path(found.images[key]), Path(found.masks[key]), _sample_name(key)) for key in keys]
    return _distinct(samples)


def _sample_name(key: str) -> str:
    return key.replace("\\", "/").strip("./").replace("/", "__")


def _distinct(samples: list[Sample]) -> list[Sample]:
    """Return the samples, or raise a DataError if files made for one would overwrite those of another."""
    seen: dict[str, Sample] = {}
    for sample in samples:
        other = seen.setdefault(sample.name, sample)
        if other is not sample:
            raise DataError(f"{other.image} and {sample.image} would both be called {sample.name}; rename one of them.")
    return samples


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
    for path in _files_of_lists(root):
        if path.suffix.lower() in LIST_SUFFIXES and path.stem.lower() in known:
            if path.stem in found:
                raise DataError(f"{found[path.stem]} and {path} are both lists of '{path.stem}'; remove one.")
            found[path.stem] = path
    return found


def refuse_other_lists(root: Path) -> None:
    """Raise a DataError if a file that is not read has the name of a list of a split, so that none is overlooked."""
    for path in _files_of_lists(root):
        named_so = like_split(path.stem) or path.stem.lower() in ("split", "splits") or has_split_column(path)
        if named_so and path.suffix.lower() in _OTHER_LISTS:
            raise DataError(
                f"{path} looks like a list of a split, but is not read: lists are train.txt and val.txt (or .csv), "
                "with an image a line. To draw a fraction of the scenes without it: data.options.splits=fraction"
            )


def _files_of_lists(root: Path) -> list[Path]:
    folders = [root / name for name in LIST_FOLDERS if (root / name).is_dir()]
    return [path for folder in folders for path in sorted(folder.iterdir()) if path.is_file()]


class FileIndex:
    """Files by every way in which a list may name them: by path below a folder or the root, or by name alone.

    Args:
        root: the dataset's folder.
        beside: another folder that entries may be relative to.
        folders: (folder, key -> path) of the files, as a :class:`Match` has them.
    """

    def __init__(self, root: Path, beside: Path, folders: Iterable[tuple[Path, dict[str, str]]]) -> None:
        self._above = (root, beside)
        self._paths: dict[str, dict[str, None]] = {}
        self._names: dict[str, dict[str, None]] = {}
        for folder, files in folders:
            below = os.path.relpath(folder, root).replace(os.sep, "/")
            prefixes = ("",) if below == "." else ("", f"{below}/")
            for key, path in files.items():
                name = path.rpartition("/")[2]
                directory = key[: key.rfind("/") + 1]
                for entry in (key, directory + name, directory + _stem(name)):
                    for prefix in prefixes:
                        self._paths.setdefault(prefix + entry, {})[path] = None
                for entry in (name, _stem(name)):
                    self._names.setdefault(entry, {})[path] = None

    def find(self, entry: str) -> str | None:
        """Return the file that an entry names, None where there is none.

        Raises:
            DataError: if it may name several.
        """
        name = entry.replace("\\", "/").removeprefix("./")
        found = list(self._paths.get(name) or self._names.get(name) or ())
        if len(found) > 1:
            raise DataError(f"'{entry}' may be {found[0]} or {found[1]}: write the path in the list.")
        # Some lists write paths from the root as if it were the root of the file system.
        paths = (os.path.normpath(folder / part) for part in (name, name.lstrip("/")) for folder in self._above)
        return found[0] if found else next(filter(os.path.isfile, paths), None)

    def holds(self, entry: str) -> bool:
        """Return whether an entry names one of the files, without looking for others."""
        return bool(self._paths.get(entry) or self._names.get(entry))


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
    pairs = structure.pairs if structure else []
    matches = [match(pair, options) for pair in pairs]
    images = FileIndex(
        root, path.parent, zip((pair.images for pair in pairs), (m.images for m in matches), strict=True)
    )
    masks = FileIndex(root, path.parent, zip((pair.masks for pair in pairs), (m.masks for m in matches), strict=True))
    mask_of = {found.images[key]: found.masks[key] for found in matches for key in found.keys}
    key_of = {image: key for found in matches for key, image in found.images.items()}
    rows = read_rows(path, is_name=images.holds)
    found = [_find(path, row, images, row.image) for row in rows]
    refuse_repeated(path, rows, [image or row.image for image, row in zip(found, rows, strict=True)])
    group = _group_column(path, rows, options)
    samples: list[Sample] = []
    missing: list[str] = []
    unlabelled: list[str] = []
    for row, image in zip(rows, found, strict=True):
        if image is None:
            missing.append(row.image)
            continue
        mask = _find(path, row, masks, row.mask) if row.mask else mask_of.get(image)
        if mask is None:
            unlabelled.append(f"{row.image} with {row.mask}" if row.mask else row.image)
        else:
            name = _sample_name(key_of.get(image, _stem(row.image)))
            samples.append(Sample(Path(image), Path(mask), name, row.columns.get(group, "")))
    unmatched = []
    if missing:
        near = _find(path, rows[0], images, stem(missing[0]))
        hint = f"{_ENTRIES}{f'; {missing[0]} may be {near}' if near else ''}"
        unmatched.append(Unmatched(str(path), (), (), len(samples), hint, tuple(missing)))
    if unlabelled:
        hint = next((unpaired.hint for found_ in matches for unpaired in found_.unmatched), "")
        unmatched.append(Unmatched(str(path), tuple(unlabelled), (), len(samples), hint))
    return _distinct(samples), tuple(unmatched)


def _find(path: Path, row: Row, index: FileIndex, entry: str) -> str | None:
    try:
        return index.find(entry)
    except DataError as error:
        raise DataError(f"{path}, line {row.line}: {error}") from None


def _group_column(path: Path, rows: Sequence[Row], options: FolderOptions) -> str:
    """Return the column that scores are grouped by, "group" by default."""
    columns = rows[0].columns
    if options.group is not None and options.group.lower() not in columns:
        hint = did_you_mean(options.group, columns) if columns else "its first line names no further columns"
        raise ConfigError(f"data.options.group: {path} has no column '{options.group}'; {hint}")
    return (options.group or "group").lower()
