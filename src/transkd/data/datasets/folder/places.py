"""Folders of images and masks, found by what people call them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from transkd.data.datasets.images import find_pictures
from transkd.data.datasets.layout import subfolders
from transkd.errors import DataError

IMAGE_NAMES = (
    *("images", "image", "imgs", "img", "jpegimages", "frames", "photos", "pictures", "rgb", "imgdir", "imagedir"),
)
MASK_NAMES = (
    *("masks", "mask", "labels", "label", "annotations", "annotation", "annot", "anndir", "gt", "groundtruth"),
    *("segmentations", "segmentation", "segmentationclass"),
)
SPLIT_NAMES = ("train", "training", "val", "valid", "validation", "test", "testing")
_LIKE_SPLIT = re.compile(rf"({'|'.join(SPLIT_NAMES)})([\d_. -].*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
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
        whole: where all images and masks lie, if they lie together.
        splits: split -> where its images and masks lie, if each split has folders of its own.
    """

    whole: Place | None
    splits: dict[str, Place]

    @property
    def places(self) -> list[Place]:
        """Every folder of images with its folder of masks, each file in one of them only."""
        return [self.whole] if self.whole else list(self.splits.values())


def like_split(name: str) -> bool:
    """Tell whether a folder or a list is called like a split: train, Val, train2017, test_night."""
    return _LIKE_SPLIT.fullmatch(name) is not None


def find_by_names(root: Path, own: Collection[str]) -> list[Structure]:
    """Find what a root may hold, in each of the ways in which people lay out folders.

    Args:
        root: an existing folder.
        own: further names of splits than the customary ones, in lower case.

    Raises:
        DataError: if several folders of a root may hold the images, or the masks.
    """

    def is_split(name: str) -> bool:
        return like_split(name) or name.lower() in own

    found = (_by_kind(root, is_split), _by_split(root, is_split), _side_by_side(root, is_split))
    return [structure for structure in found if structure is not None]


def _by_kind(root: Path, is_split: Callable[[str], bool]) -> Structure | None:
    """``images/`` and ``masks/``, with or without folders of each split below."""
    place = _place_in(root)
    if place is None:
        return None
    both = sorted(subfolders(place.images) & subfolders(place.masks))
    named = both if any(map(is_split, both)) else []
    return Structure(place, {name: Place(place.images / name, place.masks / name) for name in named})


def _by_split(root: Path, is_split: Callable[[str], bool]) -> Structure | None:
    """``train/images/`` and ``train/masks/``."""
    names = sorted(subfolders(root))
    if not any(map(is_split, names)):
        return None
    places = {name: _place_in(root / name) for name in names}
    splits = {name: place for name, place in places.items() if place is not None}
    return Structure(None, splits) if any(map(is_split, splits)) else None


def _side_by_side(root: Path, is_split: Callable[[str], bool]) -> Structure | None:
    """``train/`` (or ``train_images/``) and ``train_masks/``."""
    present = {name.lower(): name for name in sorted(subfolders(root))}
    splits = {}
    for split in {*SPLIT_NAMES, *filter(is_split, present)}:
        images = [name for name in _joined(split, ("", *IMAGE_NAMES)) if name in present]
        masks = [name for name in _joined(split, MASK_NAMES) if name in present]
        if images and masks:
            own = present[images[0]] if images[0] == split else split
            splits[own] = Place(root / present[images[0]], root / present[masks[0]])
    return Structure(None, dict(sorted(splits.items()))) if splits else None


def _joined(split: str, kinds: Collection[str]) -> Iterator[str]:
    for kind in kinds:
        yield from (f"{split}{sign}{kind}" for sign in (("",) if not kind else ("_", "-", "")))


def _place_in(folder: Path) -> Place | None:
    names = sorted(subfolders(folder))
    images = [name for name in names if _plain(name) in IMAGE_NAMES]
    masks = [name for name in names if _plain(name) in MASK_NAMES]
    if not images or not masks:
        return None
    chosen = [_the_one(folder, kind, several) for kind, several in (("images", images), ("masks", masks))]
    return Place(folder / chosen[0], folder / chosen[1])


def _the_one(folder: Path, kind: str, names: list[str]) -> str:
    """Return the only folder of these, or the only one that holds pictures."""
    if len(names) > 1:
        names = [name for name in names if find_pictures(folder / name)] or names
    if len(names) > 1:
        raise DataError(
            f"{folder}: {' and '.join(f'{name}/' for name in names)} may both hold the {kind}: say which, "
            "data.options.images=FOLDER data.options.masks=FOLDER"
        )
    return names[0]


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
