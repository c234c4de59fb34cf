"""A custom folder: images and masks paired by name, splits from folders, lists or a fraction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transkd.data.classes import ClassSet
from transkd.data.colour_masks import MaskKind
from transkd.data.datasets.folder.class_file import HOW_TO_WRITE, read_class_table
from transkd.data.datasets.folder.options import FolderOptions, Fraction, SplitBy
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


def find_folder(
    root: Path,
    split: str,
    *,
    classes: object = None,
    images: str | None = None,
    masks: str | None = None,
    image_suffix: str = "",
    mask_suffix: str = "",
    masks_hold: MaskKind = "auto",
    splits: SplitBy = "auto",
    val_fraction: Fraction = 0.2,
    split_seed: int = 0,
    group: str | None = None,
) -> Scenes:
    """Find a split's scenes; no image or mask is opened.

    Args:
        root: an existing folder.
        split: the split's name.
        classes: names, a mapping, or a file; None for ``classes.yaml`` in the root.
        images: see :class:`FolderOptions`, as for all that follow.
        masks: the folder of the masks.
        image_suffix: what image names end in that mask names do not.
        mask_suffix: what mask names end in that image names do not.
        masks_hold: "ids", "colours" or "auto".
        splits: "auto", "folders", "lists" or "fraction".
        val_fraction: the share that validates.
        split_seed: the seed of the drawn split.
        group: the column of the lists to group scores by.

    Returns:
        The scenes.

    Raises:
        DataError: if images, masks, classes or the split are missing, or it is unclear which are meant.
        ConfigError: if an option makes no sense, or does not apply to how the splits are made.
    """
    options = FolderOptions(
        images, masks, image_suffix, mask_suffix, masks_hold, splits, val_fraction, split_seed, group
    )
    table = read_class_table(root, classes)
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
        keys = [] if too_few else draw_split(found.keys, split, val_fraction, split_seed, str(structure.whole))
        samples, unmatched = samples_of(found, keys), found.unmatched
        split_by = f"a fraction: {val_fraction:g} of the scenes validate, split_seed={split_seed}"
    return Scenes(samples, table.class_set(), table.reader(options.masks_hold), unmatched, split_by)


def folder_splits(root: Path, **options: Any) -> list[str]:
    """Return the names of the splits that a root holds."""
    made_by, structure, lists = _find_splits(root, _checked_options(options), None)
    if made_by == "lists":
        return list(lists)
    return list(structure.splits) if made_by == "folders" and structure else list(DRAWN_SPLITS)


def folder_classes(root: Path, **options: Any) -> ClassSet:
    """Read the classes."""
    return read_class_table(root, options.get("classes")).class_set()


def check_folder_options(**options: Any) -> None:
    """Raise a ConfigError if an option makes no sense."""
    _checked_options(options)


def _checked_options(options: dict[str, Any]) -> FolderOptions:
    return FolderOptions(**{key: value for key, value in options.items() if key != "classes"})


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
            wanted = {
                "lists": "lists",
                "folders": "folders of splits",
                "fraction": "images and masks that lie together",
            }
            raise DataError(
                f"data.options.splits={options.splits}: {root} holds no {wanted[options.splits]}. {UNDERSTOOD}"
            )
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
    check_options=check_folder_options,
)
