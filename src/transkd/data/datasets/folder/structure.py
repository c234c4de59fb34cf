"""Where in a folder of one's own the images and the masks lie, as options or the folders' names say."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from transkd.data.datasets.folder.options import FolderOptions
from transkd.data.datasets.folder.places import Place, Structure, find_by_names, like_split
from transkd.data.datasets.folder.together import hint_for_one_folder
from transkd.data.datasets.images import picture_stems
from transkd.data.datasets.layout import subfolders
from transkd.errors import DataError

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
