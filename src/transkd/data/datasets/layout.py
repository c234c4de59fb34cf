"""What the datasets share: finding a root, pairing images with labels, and saying what is missing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from transkd.data.classes import ClassSet
from transkd.data.samples import Sample
from transkd.errors import DataError, did_you_mean


@dataclass(frozen=True)
class Scenes:
    """The scenes of one split.

    Attributes:
        samples: one entry a scene, in an order that does not depend on the file system.
        classes: what the class ids mean.
        lookup: (256,) uint8, from the ids in the label files to class ids (see ``data/labels.py``).
    """

    samples: list[Sample]
    classes: ClassSet
    lookup: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Layout:
    """How a dataset lies on disk, and how its scenes are found.

    Attributes:
        name: what configs call it.
        title: what people call it.
        classes: its classes.
        splits: the splits that have labels.
        tree: the folders and files that a root holds, drawn as text.
        origin: where the data is had.
        find: ``find(root, split, **options) -> Scenes``, with an existing root.
    """

    name: str
    title: str
    classes: ClassSet
    splits: tuple[str, ...]
    tree: str
    origin: str
    find: Callable[..., Scenes]

    def explain(self) -> str:
        """Say which layout is expected and where the data is had."""
        return f"{self.title} is expected as\n{self.tree}\n{self.origin}"


def check_root(layout: Layout, root: Path | str) -> Path:
    """Resolve and check a data root; relative paths and ``~`` are fine.

    Args:
        layout: the dataset's layout.
        root: the folder the user named.

    Returns:
        The absolute path.

    Raises:
        DataError: if it is missing, no folder or empty; says the layout expected and where the data is had.
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
    nearby = [path for path in (root.parent, *_folders(root)) if all((path / name).is_dir() for name in needed)]
    hint = f"Did you mean {nearby[0]}? " if nearby else ""
    listed = ", ".join(f"{name}/" for name in missing)
    raise DataError(f"The data root {root} holds no {listed}. {hint}{layout.explain()}")


def require_split(layout: Layout, root: Path, split: str, present: Collection[str]) -> None:
    """Raise a DataError unless the split is among those present; says which there are."""
    if split in present:
        return
    if not present:
        raise DataError(f"The data root {root} holds no split. {layout.explain()}")
    hint = did_you_mean(split, present)
    close = f" ({hint})" if hint.startswith("did") else ""
    raise DataError(f"{root}: no split '{split}'; the splits there are: {', '.join(sorted(present))}{close}.")


def reject_unlabelled_split(layout: Layout, split: str, unlabelled: Mapping[str, str]) -> None:
    """Raise a DataError for a split whose labels were never published, so that nothing is scored on it."""
    if split in unlabelled:
        raise DataError(
            f"{layout.title} has no labels for its '{split}' split: {unlabelled[split]} "
            f"Use one of: {', '.join(layout.splits)}."
        )


def pair(
    layout: Layout,
    where: str,
    images: Mapping[str, Path],
    labels: Mapping[str, Path],
    *,
    group: str = "",
) -> list[Sample]:
    """Pair images with labels of the same key.

    Args:
        layout: the dataset's layout.
        where: the folder or folders looked in, to be named in errors.
        images: key -> image file.
        labels: key -> label file.
        group: the group of all these samples.

    Returns:
        One sample a key, sorted by key; its name is the key's last part.

    Raises:
        DataError: if there are none, or some lack their counterpart: how many, and the first names.
    """
    if not images and not labels:
        raise DataError(f"{where} holds no images. {layout.explain()}")
    bare, orphans = sorted(images.keys() - labels.keys()), sorted(labels.keys() - images.keys())
    problems = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for keys, what in ((bare, "images without labels"), (orphans, "labels without images"))
        if keys
    ]
    if problems:
        raise DataError(
            f"{where}: {' and '.join(problems)}, beside {len(images.keys() & labels.keys())} complete pairs. "
            f"Unpack the missing files or remove the others. {layout.explain()}"
        )
    return [Sample(images[key], labels[key], name=key.rpartition("/")[2], group=group) for key in sorted(images)]


def files_by_key(folder: Path, pattern: str, suffixes: Sequence[str]) -> dict[str, Path]:
    """Map the files below a folder by their relative path without its suffix.

    Args:
        folder: where to look; may be missing.
        pattern: a glob below the folder.
        suffixes: the endings that count, in any letter case; a key with several takes the first one.

    Returns:
        Key (``"aachen/aachen_000000_000019"``) -> file. Hidden files are left out.
    """
    found: dict[str, Path] = {}
    paths = [path for path in folder.glob(pattern) if not path.name.startswith(".")]
    for suffix in suffixes:
        for path in paths:
            if path.name.lower().endswith(suffix.lower()):
                relative = path.relative_to(folder).as_posix()
                found.setdefault(relative[: -len(suffix)], path)
    return found


def subfolders(folder: Path) -> set[str]:
    """Name the folders in a folder, hidden ones left out."""
    return {path.name for path in _folders(folder)}


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
