"""Where a folder holds its images and masks, and which scenes each split gets."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from transkd.data.datasets.folder.options import FolderOptions
from transkd.data.datasets.images import find_pictures, picture_stems
from transkd.data.datasets.layout import subfolders
from transkd.errors import DataError

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


@dataclass(frozen=True)
class FolderPair:
    """A folder of images and the folder of their masks."""

    images: Path
    masks: Path

    def __str__(self) -> str:
        """Name both folders."""
        return f"{self.images} and {self.masks}" if self.images != self.masks else str(self.images)


@dataclass(frozen=True)
class Structure:
    """What a root holds.

    Attributes:
        whole: where the images and masks of all splits lie, if they lie together.
        splits: split -> where its images and masks lie, if each split has folders of its own.
    """

    whole: FolderPair | None
    splits: dict[str, FolderPair]

    @property
    def pairs(self) -> list[FolderPair]:
        """Every folder of images with its folder of masks, each file in one of them only."""
        return [self.whole] if self.whole else list(self.splits.values())


def like_split(name: str) -> bool:
    """Return whether a folder or a list has a split's name: train, Val, train2017, test_night."""
    return _LIKE_SPLIT.fullmatch(name) is not None


def find_structure(root: Path, options: FolderOptions, extra_splits: Iterable[str] = ()) -> Structure:
    """Find the folders of images and masks, by the options or else by their names.

    Args:
        root: an existing folder.
        options: may name the folders.
        extra_splits: names of splits besides the usual ones, in lower case.

    Raises:
        DataError: if there are none, or several that could be meant; says what is there and how to say which.
    """
    if options.images is not None and options.masks is not None:
        return _named_structure(root, options.images, options.masks)
    extra = set(extra_splits)
    found = _structures_in(root, extra)
    if not found:
        raise DataError(
            f"{root} holds no images and masks that can be told apart. It holds {_contents(root)}. "
            f"{_nearby(root, extra)}{UNDERSTOOD}"
        )
    if len(found) > 1:
        pairs = [structure.pairs[0] for structure in found]
        listed = "; ".join(f"{p.images.relative_to(root)}/ with {p.masks.relative_to(root)}/" for p in pairs)
        raise DataError(
            f"{root}: several folders may hold the scenes ({listed}): say which, "
            "data.options.images=FOLDER data.options.masks=FOLDER"
        )
    return found[0]


def _named_structure(root: Path, images: str, masks: str) -> Structure:
    if "{split}" in images:
        splits = _expand(root, images, masks)
        if not splits:
            raise DataError(f"data.options.images={images}, masks={masks}: {root} holds no such folders, for any split")
        return Structure(None, splits)
    for key, name in (("images", images), ("masks", masks)):
        if not (root / name).is_dir():
            raise DataError(f"data.options.{key}={name}: there is no folder {root / name}; it holds {_contents(root)}")
    return Structure(FolderPair(root / images, root / masks), {})


def _expand(root: Path, images: str, masks: str) -> dict[str, FolderPair]:
    """Return, for each split that may stand for ``{split}`` in both patterns, the two folders."""
    before, _, after = images.partition("{split}")
    above, _, prefix = before.rpartition("/")
    suffix = after.partition("/")[0]
    names = sorted(subfolders(root / above)) if (root / above).is_dir() else []
    splits = {}
    for name in names:
        split = name.removeprefix(prefix).removesuffix(suffix)
        pair = FolderPair(root / images.replace("{split}", split), root / masks.replace("{split}", split))
        if split and pair.images.is_dir() and pair.masks.is_dir():
            splits[split] = pair
    return splits


def _structures_in(root: Path, extra_splits: Collection[str]) -> list[Structure]:
    """Return what a root may hold, in each of the ways in which people lay out folders."""

    def is_split(name: str) -> bool:
        return like_split(name) or name.lower() in extra_splits

    found = []
    whole = _pair_in(root)
    if whole is not None:  # images/ and masks/, with or without a folder for each split in both
        images, masks = (f"{folder.name}/{{split}}" for folder in (whole.images, whole.masks))
        splits = _expand(root, images, masks)
        found.append(Structure(whole, splits if any(map(is_split, splits)) else {}))
    if any(map(is_split, names := sorted(subfolders(root)))):  # train/images/ and train/masks/
        splits = {name: pair for name in names if (pair := _pair_in(root / name)) is not None}
        if any(map(is_split, splits)):
            found.append(Structure(None, splits))
    splits = {}  # train/ or train_images/, and train_masks/
    for images, masks in product(("{split}_images", "{split}"), ("{split}_masks", "{split}_labels")):
        splits |= {name: pair for name, pair in _expand(root, images, masks).items() if is_split(name)}
    if splits:
        found.append(Structure(None, dict(sorted(splits.items()))))
    return found


def _pair_in(folder: Path) -> FolderPair | None:
    names = sorted(subfolders(folder))
    chosen = []
    for kind, known in (("images", IMAGE_FOLDERS), ("masks", MASK_FOLDERS)):
        present = [name for name in names if name.lower() in known]
        if len(present) > 1:
            present = [name for name in present if find_pictures(folder / name)] or present
        if len(present) > 1:
            raise DataError(
                f"{folder}: {' and '.join(f'{name}/' for name in present)} may both hold the {kind}: say which, "
                "data.options.images=FOLDER data.options.masks=FOLDER"
            )
        chosen += present
    return FolderPair(folder / chosen[0], folder / chosen[1]) if len(chosen) == 2 else None


def _nearby(root: Path, extra_splits: Collection[str]) -> str:
    """Ask whether a folder in the root, or the one around it, is meant, if it holds what the root does not."""
    for folder in (root.parent, *(root / name for name in sorted(subfolders(root)))):
        try:
            pairs = [pair for structure in _structures_in(folder, extra_splits) for pair in structure.pairs]
        except (DataError, OSError):
            continue
        if any(folder != root.parent or root in (pair.images, pair.masks) for pair in pairs):
            return f"Did you mean data.root={folder}? "
    return ""


def _contents(root: Path) -> str:
    folders = [f"{name}/" for name in sorted(subfolders(root))]
    files = sorted(path.name for path in root.iterdir() if path.is_file())
    listed = [*folders[:8], *files[:4]]
    more = len(folders) + len(files) - len(listed)
    return ", ".join(listed) + (f" and {more} more" if more else "") or "nothing"


def refuse_scenes_outside_splits(structure: Structure) -> None:
    """Raise a DataError if scenes lie beside the folders of the splits, in none of them."""
    if structure.whole is None or not structure.splits:
        return
    outside = sorted(picture_stems(structure.whole.images) & picture_stems(structure.whole.masks))
    if outside:
        raise DataError(
            f"{structure.whole}: {len(outside)} scenes ({', '.join(outside[:3])}{', ...' if len(outside) > 3 else ''}) "
            f"lie beside the folders {', '.join(structure.splits)} and are in no split: move them into one, or leave "
            "them out with data.options.splits=folders, or mix all with data.options.splits=fraction"
        )


def refuse_hidden_splits(root: Path, keys: Iterable[str]) -> None:
    """Raise a DataError if scenes that a fraction is drawn of lie in folders with the names of splits."""
    folders = {part: key for key in keys for part in key.split("/")[:-1] if like_split(part)}
    if folders:
        part, key = min(folders.items())
        above = f"/{key}".partition(f"/{part}/")[0].lstrip("/")
        example = f"IMAGES/{above}/{{split}}" if above else "IMAGES/{split}"
        raise DataError(
            f"{root}: scenes lie in folders with the names of splits ({', '.join(sorted(folders))}): to keep them "
            f"apart, name them, 'data.options.images=\"{example}\"' and masks likewise; to mix them, "
            "data.options.splits=fraction"
        )


def draw_split(keys: Sequence[str], split: str, options: FolderOptions, where: str) -> list[str]:
    """Divide scenes between training and validation.

    It depends on the names and the seed alone: it is the same on every machine, and a scene that is added later
    moves few others.

    Args:
        keys: the scenes' names.
        split: "train" or "val".
        options: the share of the scenes that validates (at least one does, and at least one trains), and the seed.
        where: the folders, for errors.

    Returns:
        The split's names, sorted.

    Raises:
        DataError: if there are fewer than two scenes.
    """
    if len(keys) < 2:
        raise DataError(f"{where}: a validation split cannot be drawn from {len(keys)} scenes; give 2 or more.")
    ranked = sorted(keys, key=lambda key: hashlib.sha256(f"{options.split_seed}/{key}".encode()).digest())
    count = min(max(1, round(options.val_fraction * len(ranked))), len(ranked) - 1)
    return sorted(ranked[:count] if split == "val" else ranked[count:])
