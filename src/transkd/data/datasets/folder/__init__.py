"""A custom folder: images and masks paired by name, splits from folders, lists or a fraction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transkd.data.classes import ClassSet
from transkd.data.datasets.folder.class_file import HOW_TO_WRITE, read_class_table
from transkd.data.datasets.folder.pairing import distinct, find_lists, listed_samples, match
from transkd.data.datasets.folder.structure import (
    DRAWN_SPLITS,
    SPLIT_NAMES,
    TREE,
    UNDERSTOOD,
    FolderOptions,
    SplitBy,
    Structure,
    draw_split,
    find_structure,
    refuse_hidden_splits,
    refuse_scenes_outside_splits,
)
from transkd.data.datasets.layout import Layout, Scenes, check_root, require_split
from transkd.errors import DataError


def find_folder(root: Path, split: str, **given: Any) -> Scenes:
    """Find a split's scenes as the :class:`FolderOptions` describe them; no image or mask is opened.

    Raises:
        DataError: if images, masks, classes or the split are missing, or there are several candidates.
        ConfigError: if an option makes no sense, or has no effect on how the splits are made.
    """
    options = FolderOptions(**given)
    table = read_class_table(root, options.classes)
    made_by, structure, lists = _find_splits(root, options, split)
    options.refuse_unused(made_by)
    if made_by == "lists":
        require_split(FOLDER_LAYOUT, root, split, lists)
        matches = [match(FOLDER_LAYOUT, folders, options) for folders in structure.pairs]
        samples, unmatched = listed_samples(root, lists[split], matches, options)
        split_by = str(lists[split].relative_to(root))
    elif made_by == "folders":
        require_split(FOLDER_LAYOUT, root, split, structure.splits)
        if options.splits == "auto":
            refuse_scenes_outside_splits(structure)
        found = match(FOLDER_LAYOUT, structure.splits[split], options)
        samples, unmatched = distinct(list(found.samples.values())), found.unmatched
        split_by = f"folders {structure.splits[split]}"
    else:
        require_split(FOLDER_LAYOUT, root, split, DRAWN_SPLITS)
        assert structure.whole is not None
        found = match(FOLDER_LAYOUT, structure.whole, options)
        if options.splits == "auto" and not found.unmatched:
            refuse_hidden_splits(root, found.samples)
        too_few = len(found.samples) < len(DRAWN_SPLITS) and found.unmatched
        keys = [] if too_few else draw_split(list(found.samples), split, options, str(structure.whole))
        samples, unmatched = distinct([found.samples[key] for key in keys]), found.unmatched
        split_by = f"a fraction: {options.val_fraction:g} of the scenes validate, split_seed={options.split_seed}"
    return Scenes(samples, table.class_set(), table.reader(options.masks_hold), unmatched, split_by)


def folder_splits(root: Path, **given: Any) -> list[str]:
    """Return the names of the splits that a root holds."""
    made_by, structure, lists = _find_splits(root, FolderOptions(**given))
    if made_by == "lists":
        return list(lists)
    return list(structure.splits if made_by == "folders" else DRAWN_SPLITS)


def folder_classes(root: Path, **given: Any) -> ClassSet:
    """Read the classes; the root need not exist where the option ``classes`` gives them."""
    classes = given.get("classes")
    return read_class_table(check_root(FOLDER_LAYOUT, root) if classes is None else root, classes).class_set()


def _find_splits(root: Path, options: FolderOptions, split: str = "") -> tuple[SplitBy, Structure, dict[str, Path]]:
    """Return what makes the splits, where the files lie (nowhere if only lists name them), and the lists there are."""
    lists: dict[str, Path] = {}
    others: list[Path] = []
    if options.splits not in ("folders", "fraction"):
        lists, others = find_lists(root, (*SPLIT_NAMES, split.lower()))
    try:
        structure = find_structure(root, options, (split.lower(),))
    except DataError:
        if not lists:
            raise
        structure = Structure(None, {})
    present = {"lists": bool(lists), "folders": bool(structure.splits), "fraction": structure.whole is not None}
    if options.splits != "auto":
        if not present[options.splits]:
            wanted = {"folders": "folders of splits", "fraction": "images and masks that lie together"}
            missing = wanted.get(options.splits, options.splits)
            raise DataError(f"data.options.splits={options.splits}: {root} holds no {missing}. {UNDERSTOOD}")
        return options.splits, structure, lists
    if lists and structure.splits:
        raise DataError(
            f"{root} has lists ({', '.join(path.name for path in lists.values())}) and folders "
            f"({', '.join(structure.splits)}) of its splits: choose data.options.splits=lists or =folders"
        )
    if lists or structure.splits:
        return ("lists" if lists else "folders"), structure, lists
    if others:
        raise DataError(
            f"{others[0]} looks like a list of a split, but is not read: lists are train.txt and val.txt (or .csv), "
            "with an image a line. To draw a fraction of the scenes without it: data.options.splits=fraction"
        )
    return "fraction", structure, lists


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
