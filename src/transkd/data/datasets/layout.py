"""What the datasets share: how one lies on disk, its pictures, pairs of images and labels, and what is missing."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from transkd.data.classes import IGNORE_INDEX, ClassSet
from transkd.data.labels import LabelReader
from transkd.data.reading import image_size
from transkd.errors import DataError, did_you_mean, first_few

_SUFFIXES = "png jpg jpeg jfif bmp tif tiff webp gif ppm pgm jp2 avif"
IMAGE_SUFFIXES = tuple(f".{name}" for name in _SUFFIXES.split())
"""What files of pictures end in, in any letter case."""

_CLUTTER = ("__MACOSX", "@eaDir", "Thumbs.db")  # of archives and file servers


@dataclass(frozen=True)
class Sample:
    """One scene: an image and its label on disk.

    Attributes:
        image: the image file.
        label: the label file, one id a pixel.
        name: unique within its split and usable as a file name.
        group: what scores may be grouped by, such as a weather condition; empty where nothing is.
    """

    image: Path
    label: Path
    name: str
    group: str = ""


@dataclass(frozen=True)
class Unmatched:
    """Files that lack their counterpart.

    Attributes:
        where: the folders or the list that were searched.
        images: names of the images without labels.
        labels: names of the labels without images.
        pairs: how many complete pairs there are beside them.
        hint: what may be wrong with all of them.
        nowhere: names in a list that no file has.
    """

    where: str
    images: tuple[str, ...]
    labels: tuple[str, ...]
    pairs: int
    hint: str = ""
    nowhere: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return one message: how many, and the first names."""
        problems = [
            f"{len(names)} {what} ({first_few(names)})"
            for names, what in (
                (self.images, "images without labels"),
                (self.labels, "labels without images"),
                (self.nowhere, "names of no file"),
            )
            if names
        ]
        advice = self.hint or "Unpack the missing files or remove the others."
        return f"{self.where}: {' and '.join(problems)}, beside {self.pairs} complete pairs. {advice}"


@dataclass(frozen=True)
class Scenes:
    """The scenes of one split.

    Attributes:
        samples: one entry a scene, in an order that does not depend on the file system.
        classes: what the class ids mean.
        read_label: reads a label file as class ids.
        unmatched: the files that lack their counterpart.
        split_by: what determines which scenes are in the split, for people.
    """

    samples: list[Sample]
    classes: ClassSet
    read_label: LabelReader
    unmatched: tuple[Unmatched, ...] = ()
    split_by: str = "folders"


@dataclass(frozen=True)
class Benchmark:
    """The server that scores a split whose labels were never published, and the files that it takes."""

    split: str  # that split
    count: int  # how many images it has
    size: tuple[int, int]  # height and width of each
    ids: tuple[int, ...]  # for each class the id that the files give it
    folder: str  # the folder of the files, in the archive too
    suffix: str  # how a file is called after the image's name


@dataclass(frozen=True)
class Layout:
    """How a dataset lies on disk, and how its scenes are found.

    Attributes:
        name: its name in configs.
        title: its name for people.
        classes: its classes; None where each root or config has its own.
        splits: the splits that have labels.
        tree: the folders and files that a root holds, drawn as text.
        origin: where to get the data.
        find: ``find(root, split, **options) -> Scenes``, with an existing root; where there is a benchmark, it takes
            ``labelled=False`` for images without labels.
        find_splits: ``find_splits(root, **options)`` names the labelled splits that an existing root holds.
        find_classes: ``find_classes(root, **options) -> ClassSet``, where ``classes`` is None; the root need not exist.
        takes: what declares the options, as its keyword arguments, and raises a ConfigError for values that contradict
            each other; None where the arguments of ``find`` do.
        unlabelled: splits whose labels were never published.
        benchmark: who scores one of them; None where there is nobody.
    """

    name: str
    title: str
    classes: ClassSet | None
    splits: tuple[str, ...]
    tree: str
    origin: str
    find: Callable[..., Scenes]
    find_splits: Callable[..., Collection[str]]
    find_classes: Callable[..., ClassSet] | None = None
    takes: Callable[..., object] | None = None
    unlabelled: tuple[str, ...] = ()
    benchmark: Benchmark | None = None

    def explain(self) -> str:
        """Describe the layout that is expected, and where to get the data."""
        return f"{self.title} is expected as\n{self.tree}\n{self.origin}"


def check_root(layout: Layout, root: Path | str) -> Path:
    """Return the absolute path of a data root, or raise a DataError if it is missing, no folder or empty."""
    path = Path(root).expanduser().absolute()
    if not path.exists():
        problem = "does not exist"
    elif not path.is_dir():
        problem = "is a file, not a folder"
    elif next(path.iterdir(), None) is None:
        problem = "is empty"
    else:
        return path
    raise DataError(f"The data root {path} {problem}. {layout.explain()}")


def require_folders(layout: Layout, root: Path, folders: Sequence[str]) -> None:
    """Raise a DataError unless the root holds all these folders; name a nearby root that does."""
    missing = [name for name in folders if not (root / name).is_dir()]
    if missing:
        around = (root.parent, *(root / name for name in sorted(subfolders(root))))
        nearby = [path for path in around if all((path / name).is_dir() for name in folders)]
        hint = f"Did you mean {nearby[0]}? " if nearby else ""
        listed = ", ".join(f"{name}/" for name in missing)
        raise DataError(f"The data root {root} holds no {listed}. {hint}{layout.explain()}")


def require_split(layout: Layout, root: Path, split: str, present: Collection[str]) -> None:
    """Raise a DataError unless the split is among those present; list those that exist."""
    if split in present:
        return
    if not present:
        raise DataError(f"The data root {root} holds no split. {layout.explain()}")
    hint = did_you_mean(split, present)
    close = f" ({hint})" if hint.startswith("did") else ""
    raise DataError(
        f"{root}: no split '{split}'; the splits there are: {', '.join(sorted(present))}{close}. "
        "Choose among them with data.train_split=NAME data.val_split=NAME (of transkd-eval: split=NAME)"
    )


def read_no_label(path: Path) -> npt.NDArray[np.uint8]:
    """Return the label (H, W) of the image at ``path`` where it has none: all pixels are ignored."""
    return np.full(image_size(path), IGNORE_INDEX, np.uint8)


def _last_part(key: str) -> str:
    return key.rpartition("/")[2]


def pair(
    layout: Layout,
    where: str,
    images: Mapping[str, Path],
    labels: Mapping[str, Path],
    *,
    group: str = "",
    name: Callable[[str], str] = _last_part,
    hint: Callable[[Sequence[str], Sequence[str]], str] | None = None,
) -> tuple[list[Sample], tuple[Unmatched, ...]]:
    """Pair images with labels of the same key.

    Args:
        layout: the dataset's layout.
        where: the folders or the list that were searched, for errors.
        images: key -> image file.
        labels: key -> label file; of images without labels, the images themselves.
        group: the group of all these samples.
        name: names a sample after its key.
        hint: returns what may be wrong, given the keys of images and of labels that lack their counterpart.

    Returns:
        The complete pairs, sorted by key; and what lacks its counterpart.

    Raises:
        DataError: if there are neither images nor labels.
    """
    if not images and not labels:
        raise DataError(f"{where} holds no images. {layout.explain()}")
    keys = sorted(images.keys() & labels.keys())
    samples = [Sample(images[key], labels[key], name(key), group) for key in keys]
    bare, orphans = sorted(images.keys() - labels.keys()), sorted(labels.keys() - images.keys())
    if not bare and not orphans:
        return samples, ()
    text = "" if hint is None else hint(bare, orphans)
    return samples, (Unmatched(where, tuple(bare), tuple(orphans), len(samples), text),)


def files_by_key(folder: Path, pattern: str, suffixes: Sequence[str]) -> dict[str, Path]:
    """Map the files below a folder, which may be missing, by their relative path without its suffix.

    Args:
        folder: the folder.
        pattern: a glob below the folder.
        suffixes: the endings that count, in any letter case.

    Returns:
        Key (``"aachen/aachen_000000_000019"``) -> file; hidden files are left out.

    Raises:
        DataError: if two files have the same key.
    """
    found: dict[str, Path] = {}
    paths = [path for path in folder.glob(pattern) if not path.name.startswith(".")]
    for suffix in suffixes:
        for path in paths:
            if path.name.lower().endswith(suffix.lower()):
                relative = path.relative_to(folder).as_posix()
                other = found.setdefault(relative[: -len(suffix)], path)
                if other != path:
                    raise DataError(f"{other} and {path} have the same name but for their suffix; remove one of them.")
    return found


def find_pictures(folder: Path) -> list[tuple[str, Path]]:
    """List the pictures in a folder and those below it: (path below the folder with composed accents, file), sorted.

    Hidden files are left out, links to folders are followed last, and no folder is listed twice.
    """
    found: list[tuple[str, Path]] = []
    seen: set[str] = set()
    folders = deque([("", str(folder))])
    while folders:
        prefix, path = folders.popleft()
        if (real := os.path.realpath(path)) in seen:
            continue
        seen.add(real)
        with os.scandir(path) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
        for entry in ordered:
            if entry.name.startswith(".") or entry.name in _CLUTTER:
                continue
            name = prefix + unicodedata.normalize("NFC", entry.name)
            if _is_folder(entry):
                add = folders.append if entry.is_symlink() else folders.appendleft
                add((f"{name}/", entry.path))
            elif entry.name.lower().endswith(IMAGE_SUFFIXES):
                found.append((name, Path(entry.path)))
    return sorted(found)


def subfolders(folder: Path) -> set[str]:
    """Return the names of the folders in a folder, hidden ones left out."""
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if not entry.name.startswith(".") and _is_folder(entry)}


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False


def contents(folder: Path) -> str:
    """Describe what lies directly in a folder: ``a/, b/, 3 .npy, 1 .txt``."""
    folders = sorted(f"{name}/" for name in subfolders(folder))
    counts = Counter(path.suffix.lower() or path.name for path in folder.iterdir() if path.is_file())
    files = [f"{count} {suffix}" for suffix, count in counts.most_common(4)]
    return ", ".join([*folders[:8], *(["..."] if len(folders) > 8 else []), *files]) or "nothing"
