"""Where in a folder of one's own the images and the masks lie, found by the folders' names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from transkd.data.datasets.folder.options import FolderOptions
from transkd.data.datasets.layout import subfolders
from transkd.errors import DataError

IMAGE_NAMES = ("images", "image", "imgs", "img", "jpegimages", "frames", "photos", "rgb")
MASK_NAMES = ("masks", "mask", "labels", "label", "annotations", "annotation", "annot", "segmentations", "segmentation")
SPLIT_NAMES = ("train", "training", "val", "valid", "validation", "test", "testing")
TREE = (
    "  ROOT/\n"
    "    images/NAME.jpg  masks/NAME.png  (any image format; a fifth of them validates), or with\n"
    "    train.txt  val.txt  (NAME a line, or image and mask; or train.csv: image,mask,group)\n"
    "    or images/train/  images/val/  masks/train/  masks/val/\n"
    "    or train/images/  train/masks/  val/images/  val/masks/\n"
    "    or train/  train_masks/  val/  val_masks/\n"
    "    and classes.yaml  ('- road' a line, or 'road: [128, 64, 128]')"
)


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


def find_structure(root: Path, options: FolderOptions, extra_splits: Iterable[str] = ()) -> Structure:
    """Find the folders of images and masks.

    Args:
        root: an existing folder.
        options: may name the folders.
        extra_splits: further names of splits than the customary ones.

    Raises:
        DataError: if there are none, or several that could be meant; says what is there and how to say which.
    """
    known = {*SPLIT_NAMES, *extra_splits}
    if options.images is not None and options.masks is not None:
        return _named(root, options.images, options.masks)
    found = _by_kind(root, known), _by_split(root, known), _side_by_side(root, known)
    present = [structure for structure in found if structure is not None]
    if len(present) == 1:
        return present[0]
    if present:
        places = [s.whole or next(iter(s.splits.values())) for s in present]
        listed = "; ".join(f"{p.images.relative_to(root)}/ with {p.masks.relative_to(root)}/" for p in places)
        raise DataError(
            f"{root}: several folders may hold the scenes ({listed}): say which, "
            "data.options.images=FOLDER data.options.masks=FOLDER, with {split} in both for folders of each split."
        )
    raise DataError(
        f"{root} holds no images and masks that can be told apart. It holds {_contents(root)}. {understood()}"
    )


def understood() -> str:
    """Say which layouts are understood."""
    return (
        f"A folder of one's own is expected as\n{TREE}\nOther folders: data.options.images=FOLDER "
        "data.options.masks=FOLDER, below ROOT, with {split} in both where each split has its own."
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


def _by_kind(root: Path, known: Collection[str]) -> Structure | None:
    """``images/`` and ``masks/``, with or without folders of each split below."""
    place = _place_in(root)
    if place is None:
        return None
    both = subfolders(place.images) & subfolders(place.masks)
    splits = {name: Place(place.images / name, place.masks / name) for name in sorted(both) if name.lower() in known}
    return Structure(place, splits)


def _by_split(root: Path, known: Collection[str]) -> Structure | None:
    """``train/images/`` and ``train/masks/``."""
    places = {name: _place_in(root / name) for name in sorted(subfolders(root)) if name.lower() in known}
    splits = {name: place for name, place in places.items() if place is not None}
    return Structure(None, splits) if splits else None


def _side_by_side(root: Path, known: Collection[str]) -> Structure | None:
    """``train/`` (or ``train_images/``) and ``train_masks/``."""
    present = {name.lower(): name for name in sorted(subfolders(root))}
    splits = {}
    for split in known:
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
    images = [name for name in names if name.lower() in IMAGE_NAMES]
    masks = [name for name in names if name.lower() in MASK_NAMES]
    for kind, several in (("images", images), ("masks", masks)):
        if len(several) > 1 and images and masks:
            raise DataError(
                f"{folder}: {' and '.join(f'{name}/' for name in several)} may both hold the {kind}: say which, "
                "data.options.images=FOLDER data.options.masks=FOLDER"
            )
    return Place(folder / images[0], folder / masks[0]) if images and masks else None


def _contents(root: Path) -> str:
    folders = [f"{name}/" for name in sorted(subfolders(root))]
    files = sorted(path.name for path in root.iterdir() if path.is_file())
    listed = [*folders[:8], *files[:4]]
    more = len(folders) + len(files) - len(listed)
    return ", ".join(listed) + (f" and {more} more" if more else "") or "nothing"
