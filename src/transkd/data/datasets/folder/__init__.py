"""A folder of one's own: images and masks matched by name, splits from folders, lists or a fraction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transkd.data.classes import ClassSet
from transkd.data.colour_masks import MaskKind
from transkd.data.datasets.folder.class_entries import HOW_TO_WRITE, read_class_table
from transkd.data.datasets.folder.matching import (
    Match,
    find_lists,
    listed_samples,
    match,
    refuse_equal_names,
    refuse_other_lists,
    sample_name,
)
from transkd.data.datasets.folder.options import FolderOptions, Fraction, SplitBy
from transkd.data.datasets.folder.places import (
    DRAWN_SPLITS,
    SPLIT_NAMES,
    TREE,
    Structure,
    draw_split,
    find_structure,
    like_split,
    refuse_strays,
    understood,
)
from transkd.data.datasets.layout import Layout, Scenes, require_split
from transkd.data.samples import Sample
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
        split_seed: what is drawn from.
        group: the column of the lists to group scores by.

    Returns:
        The scenes.

    Raises:
        DataError: if images, masks, classes or the split are missing, or it is unclear which are meant.
        ConfigError: if an option makes no sense, or says something that the splits do not come from.
    """
    options = FolderOptions(
        images, masks, image_suffix, mask_suffix, masks_hold, splits, val_fraction, split_seed, group
    )
    table = read_class_table(root, classes)
    how, structure, lists = _how(root, options, split)
    options.refuse_unused(how)
    if how == "lists":
        require_split(FOLDER_LAYOUT, root, split, lists)
        samples, unmatched = listed_samples(root, lists[split], structure, options)
        said = str(lists[split].relative_to(root))
    else:
        assert structure is not None
        if how == "folders":
            require_split(FOLDER_LAYOUT, root, split, structure.splits)
            if options.splits == "auto":
                refuse_strays(structure)
            found = match(structure.splits[split], options)
            keys, said = found.keys, f"folders {structure.splits[split]}"
        else:
            require_split(FOLDER_LAYOUT, root, split, DRAWN_SPLITS)
            place = structure.whole
            assert place is not None
            found = match(place, options)
            if options.splits == "auto" and not found.unmatched:
                _refuse_hidden_splits(root, found.keys)
            incomplete = len(found.keys) < len(DRAWN_SPLITS) and found.unmatched
            keys = [] if incomplete else draw_split(found.keys, split, val_fraction, split_seed, str(place))
            said = f"a fraction: {val_fraction:g} of the scenes validate, split_seed={split_seed}"
        samples, unmatched = _samples(found, keys), found.unmatched
    return Scenes(samples, table.class_set(), table.reader(options.masks_hold), unmatched, said)


def folder_splits(root: Path, **options: Any) -> list[str]:
    """Name the splits that a root holds."""
    how, structure, lists = _how(root, _without_classes(options), None)
    if how == "lists":
        return list(lists)
    return list(structure.splits) if how == "folders" and structure else list(DRAWN_SPLITS)


def folder_classes(root: Path, **options: Any) -> ClassSet:
    """Read the classes."""
    return read_class_table(root, options.get("classes")).class_set()


def check_folder_options(**options: Any) -> None:
    """Raise a ConfigError if an option makes no sense."""
    _without_classes(options)


def _without_classes(options: dict[str, Any]) -> FolderOptions:
    return FolderOptions(**{key: value for key, value in options.items() if key != "classes"})


def _how(root: Path, options: FolderOptions, split: str | None) -> tuple[SplitBy, Structure | None, dict[str, Path]]:
    """Tell what makes the splits, where the files lie, and which lists there are."""
    own = () if split is None else (split,)
    lists = {} if options.splits in ("folders", "fraction") else find_lists(root, (*SPLIT_NAMES, *map(str.lower, own)))
    try:
        structure: Structure | None = find_structure(root, options, map(str.lower, own))
    except DataError:
        if not lists:
            raise
        structure = None
    folders = {} if structure is None else structure.splits
    if options.splits != "auto":
        _require(root, options.splits, structure, lists)
        return options.splits, structure, lists
    if lists and folders:
        raise DataError(
            f"{root} has lists ({', '.join(path.name for path in lists.values())}) and folders "
            f"({', '.join(folders)}) of its splits: say which are meant, data.options.splits=lists or =folders"
        )
    if not lists and not folders:
        refuse_other_lists(root)
    return ("lists" if lists else "folders" if folders else "fraction"), structure, lists


def _refuse_hidden_splits(root: Path, keys: list[str]) -> None:
    """Raise a DataError if scenes that are to be shared out lie in folders that are called like splits."""
    folders = {part: key for key in keys for part in key.split("/")[:-1] if like_split(part)}
    if folders:
        part, key = next(iter(sorted(folders.items())))
        above = f"/{key}".partition(f"/{part}/")[0].lstrip("/")
        example = f"IMAGES/{above}/{{split}}" if above else "IMAGES/{split}"
        raise DataError(
            f"{root}: scenes lie in folders that are called like splits ({', '.join(sorted(folders))}): to keep them "
            f"apart, name them, 'data.options.images=\"{example}\"' and masks likewise; to mix them, "
            "data.options.splits=fraction"
        )


def _require(root: Path, how: SplitBy, structure: Structure | None, lists: dict[str, Path]) -> None:
    there = {
        "lists": bool(lists),
        "folders": structure is not None and bool(structure.splits),
        "fraction": structure is not None and structure.whole is not None,
    }
    if not there[how]:
        wanted = {"lists": "lists", "folders": "folders of splits", "fraction": "images and masks that lie together"}
        raise DataError(f"data.options.splits={how}: {root} holds no {wanted[how]}. {understood()}")


def _samples(found: Match, keys: list[str]) -> list[Sample]:
    samples = [Sample(Path(found.images[key]), Path(found.masks[key]), sample_name(key)) for key in keys]
    refuse_equal_names(samples)
    return samples


FOLDER_LAYOUT = Layout(
    name="folder",
    title="A folder of one's own",
    classes=None,
    splits=("train", "val", "test"),
    tree=TREE,
    origin=HOW_TO_WRITE,
    find=find_folder,
    find_splits=folder_splits,
    find_classes=folder_classes,
    check_options=check_folder_options,
)
