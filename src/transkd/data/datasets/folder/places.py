"""Folders of images and masks, found by what people call them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from transkd.data.datasets.folder.options import FolderOptions
from transkd.data.datasets.images import find_pictures, picture_stems
from transkd.data.datasets.layout import subfolders
from transkd.errors import DataError

DRAWN_SPLITS = ("train", "val")


def draw_split(keys: Sequence[str], split: str, fraction: float, seed: int, where: str) -> list[str]:
    """Share out scenes between training and validation.

    It depends on the names and the seed alone: it is the same on every machine, and a scene that is added later
    moves few others.

    Args:
        keys: the scenes' names.
        split: "train" or "val".
        fraction: the share of the scenes that validates; at least one scene does, and at least one trains.
        seed: draws another split.
        where: what to name in errors.

    Returns:
        The split's names, sorted.

    Raises:
        DataError: if there are fewer than two scenes.
    """
    if len(keys) < 2:
        raise DataError(
            f"{where}: {len(keys)} scenes cannot be shared out between training and validation; give 2 or more."
        )
    ranked = sorted(keys, key=lambda key: hashlib.sha256(f"{seed}/{key}".encode()).digest())
    count = min(max(1, round(fraction * len(ranked))), len(ranked) - 1)
    return sorted(ranked[:count] if split == "val" else ranked[count:])


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


SIGNS = "_-. "
"""What may stand between the name of an image and the ending of its mask's."""
_JPEG = (".jpg", ".jpeg", ".jfif")

Files = Sequence[tuple[str, str]]


def share_out(files: Files, mask_suffix: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Tell images from masks: by the masks' suffix, or without one by format, since no JPEG is a mask.

    Args:
        files: (name, path) of each.
        mask_suffix: what the masks' names end in; may be empty.

    Returns:
        The images, and the masks.
    """
    images: list[tuple[str, str]] = []
    masks: list[tuple[str, str]] = []
    for name, path in files:
        stem = name.rpartition(".")[0]
        is_mask = stem.endswith(mask_suffix) if mask_suffix else not name.lower().endswith(_JPEG)
        (masks if is_mask else images).append((name, path))
    return images, masks


def hint_for_one_folder(root: Path, splits: Iterable[str]) -> str:
    """Say which options fit where ``a.jpg`` and ``a_mask.png`` lie in the root itself, or in each split's folder."""
    for folder, option in ((root, "."), *((root / split, '"{split}"') for split in sorted(splits))):
        names = [name for name, _ in find_pictures(folder) if "/" not in name]
        stems = {name.rpartition(".")[0] for name in names}
        jpegs = sum(name.lower().endswith(_JPEG) for name in names)
        suffix = _mask_suffix(stems)
        if suffix or 0 < jpegs == len(stems) < len(names):
            said = [f"data.options.images={option}", f"data.options.masks={option}"]
            said = [f"'{word}'" if option != "." else word for word in said]
            said += [f"data.options.mask_suffix={suffix}"] if suffix else []
            return f"If {folder} holds both images and masks: {' '.join(said)} "
    return ""


def _mask_suffix(stems: Collection[str]) -> str:
    """Return the ending that half of the names have besides the name of another, or nothing."""
    endings = Counter(stem[i:] for stem in stems for i in range(1, len(stem)) if stem[i] in SIGNS and stem[:i] in stems)
    suffix, count = next(iter(endings.most_common(1)), ("", 0))
    return suffix if 3 * count >= len(stems) else ""


TREE = (
    "  ROOT/\n"
    "    images/NAME.jpg  masks/NAME.png  (any image format; a fifth of them validates), or with\n"
    "    train.txt  val.txt  (NAME a line, or image and mask; or train.csv: image,mask,group)\n"
    "    or images/train/  images/val/  masks/train/  masks/val/\n"
    "    or train/images/  train/masks/  val/images/  val/masks/\n"
    "    or train/  train_masks/  val/  val_masks/\n"
    "    and classes.yaml  ('- road' a line, or 'road: [128, 64, 128]')"
)


def find_structure(root: Path, options: FolderOptions, extra_splits: Iterable[str] = ()) -> Structure:
    """Find the folders of images and masks.

    Args:
        root: an existing folder.
        options: may name the folders.
        extra_splits: further names of splits than the customary ones.

    Raises:
        DataError: if there are none, or several that could be meant; says what is there and how to say which.
    """
    own = set(extra_splits)
    if options.images is not None and options.masks is not None:
        return _named(root, options.images, options.masks)
    present = find_by_names(root, own)
    if len(present) == 1:
        return present[0]
    if present:
        places = [s.whole or next(iter(s.splits.values())) for s in present]
        listed = "; ".join(f"{p.images.relative_to(root)}/ with {p.masks.relative_to(root)}/" for p in places)
        raise DataError(
            f"{root}: several folders may hold the scenes ({listed}): say which, "
            "data.options.images=FOLDER data.options.masks=FOLDER"
        )
    raise DataError(
        f"{root} holds no images and masks that can be told apart. It holds {_contents(root)}. "
        f"{_nearby(root, own)}{hint_for_one_folder(root, filter(like_split, subfolders(root)))}{understood()}"
    )


def refuse_strays(structure: Structure) -> None:
    """Raise a DataError if scenes lie beside the folders of the splits, in none of them."""
    if structure.whole is None or not structure.splits:
        return
    strays = sorted(picture_stems(structure.whole.images) & picture_stems(structure.whole.masks))
    if strays:
        raise DataError(
            f"{structure.whole}: {len(strays)} scenes ({', '.join(strays[:3])}{', ...' if len(strays) > 3 else ''}) "
            f"lie beside the folders {', '.join(structure.splits)} and are in no split: move them into one, or leave "
            "them out with data.options.splits=folders, or mix all with data.options.splits=fraction"
        )


def understood() -> str:
    """Say which layouts are understood."""
    return (
        f"A folder of one's own is expected as\n{TREE}\nOther folders: data.options.images=FOLDER "
        "data.options.masks=FOLDER, below ROOT; where each split has its own, in quotes: "
        "'data.options.images=\"{split}/FOLDER\"' 'data.options.masks=\"{split}/FOLDER\"'"
    )


def _named(root: Path, images: str, masks: str) -> Structure:
    """Return the places that the options name; ``{split}`` is any folder that is there in both."""
    if "{split}" not in images:
        for key, name in (("images", images), ("masks", masks)):
            if not (root / name).is_dir():
                raise DataError(
                    f"data.options.{key}={name}: there is no folder {root / name}; {_contents(root)} are there"
                )
        return Structure(Place(root / images, root / masks), {})
    head, _, _ = images.partition("{split}")
    parent = root / head.rpartition("/")[0]
    names = sorted(subfolders(parent)) if parent.is_dir() else []
    prefix, suffix = head.rpartition("/")[2], images.partition("{split}")[2].split("/")[0]
    splits = {}
    for name in names:
        split = name.removeprefix(prefix).removesuffix(suffix)
        place = Place(root / images.replace("{split}", split), root / masks.replace("{split}", split))
        if split and place.images.is_dir() and place.masks.is_dir():
            splits[split] = place
    if not splits:
        raise DataError(f"data.options.images={images}, masks={masks}: {root} holds no such folders, for any split")
    return Structure(None, splits)


def _nearby(root: Path, own: Collection[str]) -> str:
    """Ask whether a folder in the root, or the one around it, is meant, if it holds what the root does not."""
    for folder in (root.parent, *(root / name for name in sorted(subfolders(root)))):
        try:
            found = [place for structure in find_by_names(folder, own) for place in structure.places]
        except (DataError, OSError):
            continue
        if any(folder != root.parent or root in (place.images, place.masks) for place in found):
            return f"Did you mean data.root={folder}? "
    return ""


def _contents(root: Path) -> str:
    folders = [f"{name}/" for name in sorted(subfolders(root))]
    files = sorted(path.name for path in root.iterdir() if path.is_file())
    listed = [*folders[:8], *files[:4]]
    more = len(folders) + len(files) - len(listed)
    return ", ".join(listed) + (f" and {more} more" if more else "") or "nothing"
