"""What the datasets share: finding a root, pairing images with labels, and naming what is missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from transkd.data.classes import ClassSet
from transkd.data.datasets.images import is_folder
from transkd.data.labels import LabelReader
from transkd.data.reading import image_size
from transkd.errors import DataError, did_you_mean


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
        where: the folder or folders looked in.
        images: names of the images without labels, sorted.
        labels: names of the labels without images, sorted.
        pairs: how many complete pairs there are beside them.
        hint: what may be wrong with all of them, or empty.
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
            f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
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
        unmatched: the files that lack their counterpart, by place.
        split_by: what determines which scenes are in the split, for people.
    """

    samples: list[Sample]
    classes: ClassSet
    read_label: LabelReader
    unmatched: tuple[Unmatched, ...] = ()
    split_by: str = "folders"


@dataclass(frozen=True)
class Benchmark:
    """The server that scores a split whose labels were never published, and the files that it takes.

    Attributes:
        split: that split.
        count: how many images it has.
        size: height and width of each.
        ids: for each class the id that the files give it.
        folder: the folder of the files, in the archive too.
        suffix: how a file is called after the image's name.
        find_images: ``find_images(root, split, **options) -> Scenes``, all of whose pixels are ignored.
    """

    split: str
    count: int
    size: tuple[int, int]
    ids: tuple[int, ...]
    folder: str
    suffix: str
    find_images: Callable[..., Scenes]


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
        find: ``find(root, split, **options) -> Scenes``, with an existing root.
        find_splits: ``find_splits(root, **options)`` names the labelled splits that an existing root holds.
        find_classes: ``find_classes(root, **options) -> ClassSet``, where ``classes`` is None.
        takes: what declares the options, as its keyword arguments, and raises a ConfigError for values that contradict
            each other; None where the arguments of ``find`` do.
        benchmark: who scores its unlabelled split; None where there is nobody.
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
    benchmark: Benchmark | None = None

    def explain(self) -> str:
        """Describe the layout that is expected, and where to get the data."""
        return f"{self.title} is expected as\n{self.tree}\n{self.origin}"


def check_root(layout: Layout, root: Path | str) -> Path:
    """Resolve and check a data root; relative paths and ``~`` are fine.

    Args:
        layout: the dataset's layout.
        root: the folder the user named.

    Returns:
        The absolute path.

    Raises:
        DataError: if it is missing, no folder or empty; names the layout expected and where to get the data.
    """
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


def require_folders(layout: Layout, root: Path, folders: Iterable[str]) -> None:
    """Raise a DataError unless the root holds all these folders; hint at a nearby root that does."""
    needed = list(folders)
    missing = [name for name in needed if not (root / name).is_dir()]
    if not missing:
        return
    around = (root.parent, *(root / name for name in sorted(subfolders(root))))
    nearby = [path for path in around if all((path / name).is_dir() for name in needed)]
    hint = f"Did you mean {nearby[0]}? " if nearby else ""
    listed = ", ".join(f"{name}/" for name in missing)
    raise DataError(f"The data root {root} holds no {listed}. {hint}{layout.explain()}")


def require_split(layout: Layout, root: Path, split: str, present: Collection[str]) -> None:
    """Raise a DataError unless the split is among those present; lists those that exist."""
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


def reject_unlabelled_split(layout: Layout, split: str, unlabelled: Mapping[str, str]) -> None:
    """Raise a DataError for a split whose labels were never published, so that nothing is scored on it."""
    if split not in unlabelled:
        return
    files = (
        f" transkd-eval format={layout.name} split={split} writes what that server takes." if layout.benchmark else ""
    )
    raise DataError(
        f"{layout.title} has no labels for its '{split}' split: {unlabelled[split]} "
        f"Use one of: {', '.join(layout.splits)}.{files}"
    )


@dataclass(frozen=True)
class NoLabels:
    """Stands where a label reader does, for images without labels: all pixels of the image's size are ignored.

    Attributes:
        ignore_index: what ignored pixels hold.
    """

    ignore_index: int

    def __call__(self, path: Path) -> npt.NDArray[np.uint8]:
        """Return (H, W) for the image at ``path``."""
        return np.full(image_size(path), self.ignore_index, np.uint8)


def unlabelled_samples(layout: Layout, where: str, images: Mapping[str, Path], *, group: str = "") -> list[Sample]:
    """Make samples of images that have no labels, to be read with :class:`NoLabels`.

    Args:
        layout: the dataset's layout.
        where: the folder looked in, to be named in errors.
        images: key -> image file.
        group: the group of all these samples.

    Raises:
        DataError: if there are none.
    """
    if not images:
        raise DataError(f"{where} holds no images. {layout.explain()}")
    return [Sample(images[key], label=images[key], name=key.rpartition("/")[2], group=group) for key in sorted(images)]


def pair(
    layout: Layout,
    where: str,
    images: Mapping[str, Path],
    labels: Mapping[str, Path],
    *,
    group: str = "",
) -> tuple[list[Sample], tuple[Unmatched, ...]]:
    """Pair images with labels of the same key.

    Args:
        layout: the dataset's layout.
        where: the folder or folders looked in, to be named in errors.
        images: key -> image file.
        labels: key -> label file.
        group: the group of all these samples.

    Returns:
        The complete pairs, sorted by key, each named by its key's last part; and what lacks its counterpart.

    Raises:
        DataError: if there are neither images nor labels.
    """
    if not images and not labels:
        raise DataError(f"{where} holds no images. {layout.explain()}")
    samples = [
        Sample(images[key], labels[key], name=key.rpartition("/")[2], group=group)
        for key in sorted(images.keys() & labels.keys())
    ]
    bare, orphans = sorted(images.keys() - labels.keys()), sorted(labels.keys() - images.keys())
    unmatched = (Unmatched(where, tuple(bare), tuple(orphans), len(samples)),) if bare or orphans else ()
    return samples, unmatched


def files_by_key(folder: Path, pattern: str, suffixes: Sequence[str]) -> dict[str, Path]:
    """Map the files below a folder by their relative path without its suffix.

    Args:
        folder: where to look; may be missing.
        pattern: a glob below the folder.
        suffixes: the endings that count, in any letter case.

    Returns:
        Key (``"aachen/aachen_000000_000019"``) -> file. Hidden files are left out.

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


def subfolders(folder: Path) -> set[str]:
    """Return the names of the folders in a folder, hidden ones left out."""
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if not entry.name.startswith(".") and is_folder(entry)}
