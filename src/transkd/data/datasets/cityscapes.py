"""Cityscapes (Cordts et al., CVPR 2016), and whatever is stored in its layout."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from transkd.data.classes import CITYSCAPES, CITYSCAPES_LABEL_IDS
from transkd.data.datasets.layout import (
    Benchmark,
    Layout,
    NoLabels,
    Scenes,
    files_by_key,
    pair,
    reject_unlabelled_split,
    require_folders,
    require_split,
    subfolders,
    unlabelled_samples,
)
from transkd.data.labels import IdReader, class_id_reader, lookup_table

_TEST, _EXTRA = "test", "train_extra"
_UNLABELLED = {_TEST: "the files in gtFine/test ignore every pixel, and the benchmark's server keeps the real ones."}
_IMAGE = "_leftImg8bit.png"


def find_cityscapes(root: Path, split: str) -> Scenes:
    """Find a split's scenes; raw ``labelIds`` are mapped when read where ``labelTrainIds`` are not there.

    Args:
        root: an existing folder.
        split: "train", "val", or another folder in ``leftImg8bit/``.

    Returns:
        The scenes.

    Raises:
        DataError: if folders or the split are missing, it holds no files, or it is "test".
    """
    require_folders(CITYSCAPES_LAYOUT, root, ("leftImg8bit", "gtFine"))
    reject_unlabelled_split(CITYSCAPES_LAYOUT, split, _UNLABELLED)
    require_split(CITYSCAPES_LAYOUT, root, split, cityscapes_splits(root))
    image_folder, label_folder = root / "leftImg8bit" / split, root / "gtFine" / split
    images = files_by_key(image_folder, "*/*", (_IMAGE,))
    labels, raw = find_labels([label_folder], "_gtFine", images)
    samples, unmatched = pair(CITYSCAPES_LAYOUT, f"{image_folder} and {label_folder}", images, labels[0])
    return Scenes(samples, CITYSCAPES, label_reader(raw=raw), unmatched)


def find_cityscapes_images(root: Path, split: str) -> Scenes:
    """Find a split's images, for which there need be no labels.

    Args:
        root: an existing folder.
        split: a folder in ``leftImg8bit/``.

    Returns:
        The scenes, all of whose pixels are ignored.

    Raises:
        DataError: if folders or the split are missing, or it holds no images.
    """
    require_folders(CITYSCAPES_LAYOUT, root, ("leftImg8bit",))
    require_split(CITYSCAPES_LAYOUT, root, split, subfolders(root / "leftImg8bit"))
    folder = root / "leftImg8bit" / split
    samples = unlabelled_samples(CITYSCAPES_LAYOUT, str(folder), files_by_key(folder, "*/*", (_IMAGE,)))
    return Scenes(samples, CITYSCAPES, NoLabels(CITYSCAPES.ignore_index))


def cityscapes_splits(root: Path) -> set[str]:
    """Return the names of the labelled splits that a root holds."""
    require_folders(CITYSCAPES_LAYOUT, root, ("leftImg8bit", "gtFine"))
    without_fine_labels = {_EXTRA} - subfolders(root / "gtFine")
    return subfolders(root / "leftImg8bit") - {_TEST} - without_fine_labels


def find_labels(folders: list[Path], infix: str, keys: Collection[str]) -> tuple[list[dict[str, Path]], bool]:
    """Find label files by key, all of one kind: train ids where every key has them or nothing else is there.

    Args:
        folders: one folder a part of the data, each holding ``PART/KEY{infix}_label*.png``.
        infix: what stands between key and kind, such as "_gtFine".
        keys: the images' keys, over all folders.

    Returns:
        Key -> file for each folder, and whether the files hold raw ids.
    """
    train_ids = [files_by_key(folder, "*/*", (f"{infix}_labelTrainIds.png",)) for folder in folders]
    if keys and set(keys) <= set().union(*train_ids):
        return train_ids, False
    raw_ids = [files_by_key(folder, "*/*", (f"{infix}_labelIds.png",)) for folder in folders]
    return (raw_ids, True) if any(raw_ids) else (train_ids, False)


def label_reader(*, raw: bool) -> IdReader:
    """Return the reader of label files that hold raw ids or train ids."""
    return IdReader(lookup_table(CITYSCAPES_LABEL_IDS)) if raw else class_id_reader(CITYSCAPES)


def _raw_ids() -> tuple[int, ...]:
    """Return the raw id of each class."""
    raw = {class_id: label_id for label_id, class_id in CITYSCAPES_LABEL_IDS.items()}
    return tuple(raw[class_id] for class_id in range(CITYSCAPES.num_classes))


CITYSCAPES_LAYOUT = Layout(
    name="cityscapes",
    title="Cityscapes",
    classes=CITYSCAPES,
    splits=("train", "val"),
    tree=(
        "  ROOT/\n"
        "    leftImg8bit/{train,val}/CITY/*_leftImg8bit.png\n"
        "    gtFine/{train,val}/CITY/*_gtFine_labelIds.png  (or *_gtFine_labelTrainIds.png)"
    ),
    origin=(
        "Download leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip from "
        "https://www.cityscapes-dataset.com (free registration) and unpack both into ROOT, or draw synthetic "
        "scenes in this layout: transkd-data action=synth root=ROOT"
    ),
    find=find_cityscapes,
    find_splits=cityscapes_splits,
    benchmark=Benchmark(
        split=_TEST,
        count=1525,
        size=(1024, 2048),
        ids=_raw_ids(),
        folder="labelIds",
        suffix="_labelIds.png",
        find_images=find_cityscapes_images,
    ),
)
