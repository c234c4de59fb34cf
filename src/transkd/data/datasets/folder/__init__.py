"""A custom folder: images and masks paired by name, splits from folders, lists or a fraction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transkd.data.classes import ClassSet
from transkd.data.datasets.folder.class_file import HOW_TO_WRITE, read_class_table
from transkd.data.datasets.folder.options import FolderOptions, SplitBy
from transkd.data.datasets.folder.pairing import find_lists, listed_samples, match, refuse_other_lists, samples_of
from transkd.data.datasets.folder.structure import (
    DRAWN_SPLITS,
    SPLIT_NAMES,
    TREE,
    UNDERSTOOD,
    Structure,
    draw_split,
    find_structure,
    refuse_hidden_splits,
    refuse_scenes_outside_splits,
)
from transkd.data.datasets.layout import Layout, Scenes, require_split
from transkd.errors import DataError


def find_folder(root: Path, split: str, **given: Any) -> Scenes:
    """Find a split's scenes; no image or mask is opened.

    Args:
        root: an existing folder.
        split: the split's name.
        **given: the :class:`FolderOptions`.

    Returns:
        The scenes.

    Raises:
        DataError: if images, masks, classes or the split are missing, or it is unclear which are meant.
        ConfigError: if an option makes no sense, or does not apply to how the splits are made.
    """
    options = FolderOptions(**given)
    table = read_class_table(root, options.classes)
    made_by, structure, lists = _find_splits(root, options, split)
    options.refuse_unused(made_by)
    if structure is None or made_by == "lists":
        require_split(FOLDER_LAYOUT, root, split, lists)
        samples, unmatched = listed_samples(root, lists[split], structure, options)
        split_by = str(lists[split].relative_to(root))
    elif structure.whole is None or made_by == "folders":
        require_split(FOLDER_LAYOUT, root, split, structure.splits)
        if options.splits == "auto":
            refuse_scenes_outside_splits(structure)
        found = match(structure.splits[split], options)
        samples, unmatched = samples_of(found, found.keys), found.unmatched
        split_by = f"folders {structure.splits[split]}"
    else:
        require_split(FOLDER_LAYOUT, root, split, DRAWN_SPLITS)
        found = match(structure.whole, options)
        if options.splits == "auto" and not found.unmatched:
            refuse_hidden_splits(root, found.keys)
        too_few = len(found.keys) < len(DRAWN_SPLITS) and found.unmatched
        keys = [] if too_few else draw_split(found.keys, split, options, str(structure.whole))
        samples, unmatched = samples_of(found, keys), found.unmatched
        split_by = f"a fraction: {options.val_fraction:g} of the scenes validate, split_seed={options.split_seed}"
    return Scenes(samples, table.class_set(), table.reader(options.masks_hold), unmatched, split_by)


def folder_splits(root: Path, **given: Any) -> list[str]:
    """Return the names of the splits that a root holds."""
    made_by, structure, lists = _find_splits(root, FolderOptions(**given), None)
    if made_by == "lists":
        return list(lists)
    return list(structure.splits) if made_by == "folders" and structure else list(DRAWN_SPLITS)


def folder_classes(root: Path, **given: Any) -> ClassSet:
    """Read the classes."""
    return read_class_table(root, given.get("classes")).class_set()


def _find_splits(
    root: Path, options: FolderOptions, split: str | None
) -> tuple[SplitBy, Structure | None, dict[str, Path]]:
    """Return what makes the splits, where the files lie (None where only lists say), and the lists there are."""
    requested = () if split is None else (split.lower(),)
    lists = {} if options.splits in ("folders", "fraction") else find_lists(root, (*SPLIT_NAMES, *requested))
    try:
        structure: Structure | None = find_structure(root, options, requested)
    except DataError:
        if not lists:
            raise
        structure = None
    folders = {} if structure is None else structure.splits
    present = {"lists": lists, "folders": folders, "fraction": structure is not None and structure.whole is not None}
    if options.splits != "auto":
        if not present[options.splits]:
            wanted = {"folders": "folders of splits", "fraction": "images and masks that lie together"}
            missing = wanted.get(options.splits, options.splits)
            raise DataError(f"data.options.splits={options.splits}: {root} holds no {missing}. {UNDERSTOOD}")
        return options.splits, structure, lists
    if lists and folders:
        raise DataError(
            f"{root} has lists ({', '.join(path.name for path in lists.values())}) and folders "
            f"({', '.join(folders)}) of its splits: say which are meant, data.options.splits=lists or =folders"
        )
    if not lists and not folders:
        refuse_other_lists(root)
    return ("lists" if lists else "folders" if folders else "fraction"), structure, lists


FOLDER_LAYOUT = Layout(
    name="folder",
    title="A custom dataset",
    classes=None,
    splits=("train", "val", "test"),
    tree=TREE,
    origin=HOW_TO_WRITE,
    find=find_folder,
    find_splits=folder_splits,
    find_classes=folder_classes,
    takes=FolderOptions,
)
