"""Images and masks in one and the same folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from transkd.data.datasets.images import find_pictures

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
