"""Which mask belongs to which image, by their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from transkd.data.datasets.folder.options import FolderOptions
from transkd.data.datasets.folder.structure import Place
from transkd.data.datasets.images import find_pictures, suffixes_in
from transkd.data.datasets.layout import Unmatched
from transkd.errors import DataError

_SIGNS = "_-. "


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
    hint = _case_hint(bare, orphans) or _suffix_hint(bare, orphans)
    unmatched = Unmatched(str(place), tuple(sorted(bare)), tuple(sorted(orphans)), len(images) - len(bare), hint)
    return Match(images, masks, (unmatched,))


def _keyed(place: Place, options: FolderOptions) -> tuple[dict[str, str], dict[str, str]]:
    found = find_pictures(place.images)
    if place.masks != place.images:
        images = _by_stem("images", place.images, found, options.image_suffix)
        masks = _by_stem("masks", place.masks, find_pictures(place.masks), options.mask_suffix)
        return images, masks
    if not options.mask_suffix:
        raise DataError(
            f"{place.images} is named as the folder of both images and masks: set data.options.mask_suffix, "
            "what the names of the masks end in ('_mask')"
        )
    are_masks = [_stem(name).endswith(options.mask_suffix) for name, _ in found]
    rest = [file for file, is_mask in zip(found, are_masks, strict=True) if not is_mask]
    masked = [file for file, is_mask in zip(found, are_masks, strict=True) if is_mask]
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
        same = folded.setdefault(key.casefold(), name)
        if same != name:
            twins.append(f"{same} and {name}")
        keyed[key] = path
    if twins:
        raise DataError(
            f"{folder}: {len(twins)} pairs of {kind} have the same name but for letter case or suffix "
            f"({'; '.join(twins[:3])}{'; ...' if len(twins) > 3 else ''}); remove or rename one of each."
        )
    return keyed


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _case_hint(bare: Iterable[str], orphans: Iterable[str]) -> str:
    folded = {name.casefold() for name in bare}
    same = sum(name.casefold() in folded for name in orphans)
    return f"{same} of them differ in letter case only: rename the ones or the others." if same else ""


def _suffix_hint(bare: Iterable[str], orphans: Iterable[str]) -> str:
    """Name the suffixes without which images and masks would match, if there are such."""
    images, masks = list(bare), list(orphans)
    for image_suffix in _common_endings(images):
        for mask_suffix in _common_endings(masks):
            if {name.removesuffix(image_suffix) for name in images} == {
                name.removesuffix(mask_suffix) for name in masks
            }:
                wanted = (("image_suffix", image_suffix), ("mask_suffix", mask_suffix))
                said = " ".join(f"data.options.{key}={suffix}" for key, suffix in wanted if suffix)
                return f"They match with {said}"
    return ""


def _common_endings(names: Sequence[str]) -> list[str]:
    """Return what all names end in from a sign such as ``_`` on, shortest first, and the empty ending."""
    first, last = min(backwards := [name[::-1] for name in names], default=""), max(backwards, default="")
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    ending = first[:same][::-1]
    return ["", *(ending[i:] for i in range(len(ending) - 1, -1, -1) if ending[i] in _SIGNS)]
