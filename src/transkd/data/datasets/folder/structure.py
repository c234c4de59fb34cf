"""Where a custom folder holds its images and masks, and which scenes each split gets."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from transkd.data.colour_masks import MaskKind
from transkd.data.datasets.layout import IMAGE_SUFFIXES, contents, find_pictures, subfolders
from transkd.errors import ConfigError, DataError, first_few

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "img_dir", "jpegimages")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "ann_dir", "gt", "segmentationclass")
"""The names of folders that are recognised, in any letter case; others are given by ``data.options``."""

SPLIT_NAMES = ("train", "training", "val", "valid", "validation", "test", "testing")
DRAWN_SPLITS = ("train", "val")
_LIKE_SPLIT = re.compile(rf"({'|'.join(SPLIT_NAMES)})([\d_. -].*)?", re.IGNORECASE)

TREE = (
    "  ROOT/\n"
    "    images/NAME.jpg  masks/NAME.png  (any image format; a fifth of them validates), or with\n"
    "    train.txt  val.txt  (NAME a line, or image and mask; or train.csv: image,mask,group)\n"
    "    or images/train/  images/val/  masks/train/  masks/val/\n"
    "    or train/images/  train/masks/  val/images/  val/masks/\n"
    "    or train/  train_masks/  val/  val_masks/\n"
    "    and classes.yaml  ('- road' a line, or 'road: [128, 64, 128]')"
)
UNDERSTOOD = (
    f"A custom dataset is expected as\n{TREE}\nOther folders below ROOT: data.options.images=FOLDER "
    "data.options.masks=FOLDER; where each split has its own, in quotes: 'data.options.images=\"{split}/FOLDER\"' "
    "'data.options.masks=\"{split}/FOLDER\"'; one folder of NAME.jpg and NAME_mask.png: data.options.images=. "
    "data.options.masks=. data.options.mask_suffix=_mask"
)

SplitBy = Literal["auto", "folders", "lists", "fraction"]


@dataclass(frozen=True)
class FolderOptions:
    """What a custom folder takes as ``data.options``; ``conf/data/folder.yaml`` explains each.

    Raises:
        ConfigError: if the two folders contradict each other; names the key.
    """

    classes: Any = None
    images: str | None = None
    masks: str | None = None
    image_suffix: str = ""
    mask_suffix: str = ""
    masks_hold: MaskKind = "auto"
    splits: SplitBy = "auto"
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    split_seed: int = 0
    group: str | None = None

    def __post_init__(self) -> None:
        if (self.images is None) != (self.masks is None):
            missing = "masks" if self.masks is None else "images"
            raise ConfigError(f"data.options.{missing}: name both folders, images and masks, or neither")
        if (self.images or "").count("{split}") != (self.masks or "").count("{split}"):
            raise ConfigError("data.options.images: '{split}' stands in both folders, images and masks, or in neither")

    def refuse_unused(self, made_by: SplitBy) -> None:
        """Raise a ConfigError for an option that has no effect on splits that are made in this way."""
        needed = {"val_fraction": "fraction", "split_seed": "fraction", "group": "lists"}
        for field in fields(self):
            value = getattr(self, field.name)
            if needed.get(field.name, made_by) != made_by and value != field.default:
                raise ConfigError(
                    f"data.options.{field.name}: it has no effect, since the splits come from {made_by}: leave it out, "
                    f"or set data.options.splits={needed[field.name]} (it is {value})"
                )


class FolderPair(NamedTuple):
    """A folder of images and the folder of their masks."""

    images: Path
    masks: Path

    def __str__(self) -> str:
        """Name both folders."""
        return f"{self.images} and {self.masks}" if self.images != self.masks else str(self.images)


@dataclass(frozen=True)
class Structure:
    """Where the images and masks of all splits lie, if they lie together, and those of each split that has folders."""

    whole: FolderPair | None
    splits: dict[str, FolderPair]

    @property
    def pairs(self) -> list[FolderPair]:
        """Every folder of images with its folder of masks, each file in one of them only."""
        return [self.whole] if self.whole else list(self.splits.values())


def like_split(name: str) -> bool:
    """Return whether a folder or a list has a split's name: train, Val, train2017, test_night."""
    return _LIKE_SPLIT.fullmatch(name) is not None


def find_structure(root: Path, options: FolderOptions, requested: Collection[str] = ()) -> Structure:
    """Find the folders of images and masks, by the options or else by their names.

    Splits may have the usual names, and those that are ``requested``, in lower case.

    Raises:
        DataError: if there are none, or several candidates; lists what is there and how to choose.
    """
    if options.images is not None and options.masks is not None:
        return _given_structure(root, options.images, options.masks)
    found = list(_structures_in(root, requested))
    if not found:
        raise DataError(
            f"{root} holds no folders that are recognised as images and masks. It holds {contents(root)}. "
            f"{_nearby(root, requested)}{UNDERSTOOD}"
        )
    if len(found) > 1:
        pairs = [structure.pairs[0] for structure in found]
        listed = "; ".join(f"{p.images.relative_to(root)}/ with {p.masks.relative_to(root)}/" for p in pairs)
        raise DataError(f"{root}: several folders may hold the scenes ({listed}): {_CHOOSE}")
    return found[0]


_CHOOSE = "choose with data.options.images=FOLDER data.options.masks=FOLDER"


def _given_structure(root: Path, images: str, masks: str) -> Structure:
    if "{split}" in images:
        splits = _expand(root, images, masks)
        if not splits:
            raise DataError(f"data.options.images={images}, masks={masks}: {root} holds no such folders, for any split")
        return Structure(None, splits)
    for key, name in (("images", images), ("masks", masks)):
        if not (root / name).is_dir():
            raise DataError(f"data.options.{key}={name}: there is no folder {root / name}; it holds {contents(root)}")
    return Structure(FolderPair(root / images, root / masks), {})


def _expand(root: Path, images: str, masks: str) -> dict[str, FolderPair]:
    """Return, for each split that may stand for ``{split}`` in both patterns, the two folders."""
    before, _, after = images.partition("{split}")
    above, _, prefix = before.rpartition("/")
    suffix = after.partition("/")[0]
    splits = {}
    for name in sorted(subfolders(root / above)) if (root / above).is_dir() else ():
        split = name.removeprefix(prefix).removesuffix(suffix)
        pair = FolderPair(root / images.replace("{split}", split), root / masks.replace("{split}", split))
        if split and pair.images.is_dir() and pair.masks.is_dir():
            splits[split] = pair
    return splits


def _structures_in(root: Path, requested: Collection[str]) -> Iterator[Structure]:
    """Yield what a root may hold, in each of the ways in which people lay out folders."""

    def is_split(name: str) -> bool:
        return like_split(name) or name.lower() in requested

    if whole := _pair_in(root):  # images/ and masks/, with or without a folder for each split in both
        splits = _expand(root, f"{whole.images.name}/{{split}}", f"{whole.masks.name}/{{split}}")
        yield Structure(whole, splits if any(map(is_split, splits)) else {})
    splits = {}
    if any(map(is_split, names := sorted(subfolders(root)))):
        for name in names:
            if pair := _pair_in(root / name):  # train/images/ and train/masks/
                splits[name] = pair
            elif f"{name}_masks" in names:  # train/ and train_masks/
                splits[name] = FolderPair(root / name, root / f"{name}_masks")
    if any(map(is_split, splits)):
        yield Structure(None, splits)


def _pair_in(folder: Path) -> FolderPair | None:
    """Return the folders of images and masks that lie directly in a folder."""
    chosen = []
    for kind, known in (("images", IMAGE_FOLDERS), ("masks", MASK_FOLDERS)):
        present = [name for name in sorted(subfolders(folder)) if name.lower() in known]
        if len(present) > 1:
            present = [name for name in present if find_pictures(folder / name)] or present
        if len(present) > 1:
            raise DataError(f"{folder}: {'/ and '.join(present)}/ may both hold the {kind}: {_CHOOSE}")
        chosen += [folder / name for name in present]
    return FolderPair(*chosen) if len(chosen) == 2 else None


def _nearby(root: Path, requested: Collection[str]) -> str:
    """Ask whether a folder in the root, or the one around it, is meant, if it holds what the root does not."""
    for folder in (root.parent, *(root / name for name in sorted(subfolders(root)))):
        try:
            pairs = [pair for structure in _structures_in(folder, requested) for pair in structure.pairs]
        except (DataError, OSError):
            continue
        if any(folder != root.parent or root in pair for pair in pairs):
            return f"Did you mean data.root={folder}? "
    return ""


def refuse_scenes_outside_splits(structure: Structure) -> None:
    """Raise a DataError if scenes lie beside the folders of the splits, in none of them."""
    if structure.whole is None or not structure.splits:
        return
    files = [[path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES] for folder in structure.whole]
    outside = sorted(set.intersection(*({path.stem for path in paths if path.is_file()} for paths in files)))
    if outside:
        raise DataError(
            f"{structure.whole}: {len(outside)} scenes ({first_few(outside)}) "
            f"lie beside the folders {', '.join(structure.splits)} and are in no split: move them into one, or leave "
            "them out with data.options.splits=folders, or mix all with data.options.splits=fraction"
        )


def refuse_hidden_splits(root: Path, keys: Iterable[str]) -> None:
    """Raise a DataError if scenes that a fraction is drawn of lie in folders with the names of splits."""
    folders = {part for key in keys for part in key.split("/")[:-1] if like_split(part)}
    if folders:
        raise DataError(
            f"{root}: scenes lie in folders with the names of splits ({', '.join(sorted(folders))}): to keep them "
            "apart, put {split} in their place, 'data.options.images=\"IMAGES/{split}\"' and masks likewise; to mix "
            "them, data.options.splits=fraction"
        )


def draw_split(keys: Sequence[str], split: str, options: FolderOptions, where: str) -> list[str]:
    """Return the keys of the scenes that train or validate, at least one of each, sorted.

    It depends on the keys and the seed alone: it is the same on every machine, and a scene that is added later
    moves few others.

    Raises:
        DataError: if there are fewer than two scenes.
    """
    if len(keys) < 2:
        raise DataError(f"{where}: a validation split cannot be drawn from {len(keys)} scenes; give 2 or more.")
    ranked = sorted(
        keys, key=lambda key: hashlib.sha256(f"{options.split_seed}/{key}".encode(errors="surrogateescape")).digest()
    )
    count = min(max(1, round(options.val_fraction * len(ranked))), len(ranked) - 1)
    return sorted(ranked[:count] if split == "val" else ranked[count:])
