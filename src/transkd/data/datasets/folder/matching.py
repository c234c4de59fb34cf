"""Which mask belongs to which image, by their names."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from transkd.data.datasets.folder.options import FolderOptions
from transkd.data.datasets.folder.places import Place
from transkd.data.datasets.folder.together import SIGNS, share_out
from transkd.data.datasets.images import find_pictures, suffixes_in
from transkd.data.datasets.layout import Unmatched
from transkd.errors import DataError

_OTHER_NAMES = (
    "Unpack the missing files or remove the others; where names differ in other ways, lists can name both: "
    "train.txt and val.txt with 'image mask' a line"
)
_LONGEST_SUFFIX = 24


@dataclass(frozen=True)
class Match:
    """What two folders hold.

    Attributes:
        images: key -> path of the image, the key being the path below the folder without suffixes; all images.
        masks: key -> path of the mask, likewise.
        unmatched: what lacks its counterpart, if anything does.
    """

    images: dict[str, str]
    masks: dict[str, str]
    unmatched: tuple[Unmatched, ...]

    @property
    def keys(self) -> list[str]:
        """The keys of the complete pairs, sorted."""
        return sorted(self.images.keys() & self.masks.keys())


def match(place: Place, options: FolderOptions) -> Match:
    """Pair the files of two folders, without opening any.

    Raises:
        DataError: if a folder holds no pictures, or two files of the same name.
    """
    images, masks = _keyed(place, options)
    bare, orphans = images.keys() - masks.keys(), masks.keys() - images.keys()
    if not bare and not orphans:
        return Match(images, masks, ())
    hint = (
        _case_hint(bare, orphans)
        or _suffix_hint(bare, orphans)
        or _folder_hint(bare, orphans)
        or _format_hint(place.masks, bare)
        or _format_hint(place.images, orphans)
        or _OTHER_NAMES
    )
    unmatched = Unmatched(str(place), tuple(sorted(bare)), tuple(sorted(orphans)), len(images) - len(bare), hint)
    return Match(images, masks, (unmatched,))


def _keyed(place: Place, options: FolderOptions) -> tuple[dict[str, str], dict[str, str]]:
    found = find_pictures(place.images)
    if place.masks != place.images:
        images = _by_stem("images", place.images, found, options.image_suffix)
        masks = _by_stem("masks", place.masks, find_pictures(place.masks), options.mask_suffix)
        return images, masks
    rest, masked = share_out(found, options.mask_suffix)
    if not options.mask_suffix and not (rest and masked):
        raise DataError(
            f"{place.images} is named as the folder of both images and masks: set data.options.mask_suffix, "
            "what the names of the masks end in ('_mask')"
        )
    return (
        _by_stem("images", place.images, rest, options.image_suffix),
        _by_stem("masks", place.masks, masked, options.mask_suffix),
    )


def _by_stem(kind: str, folder: Path, files: Sequence[tuple[str, str]], suffix: str) -> dict[str, str]:
    if not files:
        raise DataError(f"{folder} holds no {kind}; the files there are: {suffixes_in(folder)}.")
    keyed: dict[str, str] = {}
    twins: list[str] = []
    folded: dict[str, str] = {}
    for name, path in files:
        key = _stem(name).removesuffix(suffix)
        same = folded.setdefault(key.casefold(), path)
        if same != path:
            twins.append(f"{os.path.relpath(same, folder)} and {os.path.relpath(path, folder)}")
        keyed[key] = path
    if twins:
        raise DataError(
            f"{folder}: {len(twins)} pairs of {kind} have the same name but for letter case, suffix or accents "
            f"({'; '.join(twins[:3])}{'; ...' if len(twins) > 3 else ''}); remove or rename one of each."
        )
    return keyed


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _case_hint(bare: Iterable[str], orphans: Iterable[str]) -> str:
    folded = {name.casefold() for name in bare}
    same = sum(name.casefold() in folded for name in orphans)
    return f"{same} of them differ in letter case only: rename the ones or the others." if same else ""


def _suffix_hint(bare: Iterable[str], orphans: Iterable[str]) -> str:
    """Name the suffixes without which images and masks would match, if there are such."""
    images, masks = list(bare), list(orphans)
    wanted = [(one, other) for one in _common_endings(images) for other in _common_endings(masks)]
    wanted += [("", other) for other in _common_endings(masks, anywhere=True)]
    for image_suffix, mask_suffix in wanted:
        if {name.removesuffix(image_suffix) for name in images} == {name.removesuffix(mask_suffix) for name in masks}:
            said = (("image_suffix", image_suffix), ("mask_suffix", mask_suffix))
            return "They match with " + " ".join(f"data.options.{key}={suffix}" for key, suffix in said if suffix)
    return ""


def _common_endings(names: Sequence[str], *, anywhere: bool = False) -> list[str]:
    """Return what all names end in, shortest first, and the empty ending; by default from a sign such as ``_`` on."""
    first, last = min(backwards := [name[::-1] for name in names], default=""), max(backwards, default="")
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    ending = first[: min(same, _LONGEST_SUFFIX)][::-1]
    return ["", *(ending[i:] for i in range(len(ending) - 1, -1, -1) if anywhere or ending[i] in SIGNS)]


def _folder_hint(bare: Iterable[str], orphans: Iterable[str]) -> str:
    """Tell that the same names lie in different folders, if they do."""
    images = {name.rpartition("/")[2]: name for name in bare}
    masks = {name.rpartition("/")[2]: name for name in orphans}
    same = sorted(images.keys() & masks.keys())
    if not same:
        return ""
    return (
        f"{len(same)} of them have the same name in other folders ({images[same[0]]} and {masks[same[0]]}): masks "
        "must lie in the same folders as images"
    )


def _format_hint(folder: Path, lacking: Iterable[str]) -> str:
    """Tell which formats are not read, if files of them are called like what lacks its counterpart."""
    wanted = set(lacking)
    others = Counter(path.suffix or "no suffix" for path in folder.iterdir() if _stem(path.name) in wanted)
    if not others:
        return ""
    listed = ", ".join(f"{count} of {suffix}" for suffix, count in others.most_common(3))
    return f"{folder} holds files that are no pictures by their names: {listed}; save them as PNG"
