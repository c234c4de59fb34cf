"""Cityscapes (Cordts et al., CVPR 2016), and whatever is stored in its layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from transkd.data.classes import CITYSCAPES, CITYSCAPES_LABEL_IDS
from transkd.data.datasets.layout import (
    Benchmark,
    Layout,
    Scenes,
    files_by_key,
    pair,
    read_no_label,
    require_folders,
    require_split,
    subfolders,
)
from transkd.data.labels import IdReader, class_id_reader, lookup_table


class Names(NamedTuple):
    """How files are called: ``{images}/PART/SPLIT/*/KEY{image}``, ``{labels}/PART/SPLIT/*/KEY{label}Ids.png``."""

    images: str
    labels: str
    image: str
    label: str


def find_parts(
    layout: Layout, names: Names, root: Path, split: str, parts: Sequence[str] = ("",), *, labelled: bool = True
) -> Scenes:
    """Find a split's scenes; raw ``labelIds`` are mapped when read where ``labelTrainIds`` are not complete.

    Parts are folders between images or labels and the split, such as ACDC's conditions; they are the samples' groups.

    Raises:
        DataError: if folders or the split are missing, or it holds no files.
    """
    for part in parts:
        present = part_splits(layout, names, root, part, labelled=labelled)
        require_split(layout, root / names.images / part if part else root, split, present)
    folders = {part: root / names.images / part / split for part in parts}
    images = {part: files_by_key(folders[part], "*/*", (names.image,)) for part in parts}
    if not labelled:
        found = [pair(layout, str(folders[part]), images[part], images[part], group=part) for part in parts]
        samples = [sample for paired, _ in found for sample in paired]
        return Scenes(samples, CITYSCAPES, read_no_label)

    def labels_of(kind: str) -> dict[str, dict[str, Path]]:
        suffix = f"{names.label}{kind}.png"
        return {part: files_by_key(root / names.labels / part / split, "*/*", (suffix,)) for part in parts}

    labels = labels_of("TrainIds")
    raw = False
    if any(images[part].keys() - labels[part].keys() for part in parts):
        raw_labels = labels_of("Ids")
        raw = any(raw_labels.values())
        labels = raw_labels if raw else labels
    found = [
        pair(
            layout, f"{folders[part]} and {root / names.labels / part / split}", images[part], labels[part], group=part
        )
        for part in parts
    ]
    samples = [sample for paired, _ in found for sample in paired]
    reader = IdReader(lookup_table(CITYSCAPES_LABEL_IDS)) if raw else class_id_reader(CITYSCAPES)
    return Scenes(samples, CITYSCAPES, reader, tuple(place for _, unmatched in found for place in unmatched))


def part_splits(layout: Layout, names: Names, root: Path, part: str = "", *, labelled: bool = True) -> set[str]:
    """Return the splits that a part of a root holds: all, or the usual ones and those with labels.

    Raises:
        DataError: if the folders of images or labels are missing.
    """
    folders = [f"{folder}/{part}".strip("/") for folder in (names.images, names.labels)]
    require_folders(layout, root, folders if labelled else folders[:1])
    found = subfolders(root / folders[0])
    if not labelled:
        return found
    with_labels = subfolders(root / folders[1])
    return {name for name in found if name in layout.splits or name in with_labels} - set(layout.unlabelled)


_NAMES = Names("leftImg8bit", "gtFine", "_leftImg8bit.png", "_gtFine_label")


def find_cityscapes(root: Path, split: str, *, labelled: bool = True) -> Scenes:
    """Find a split's scenes: "train", "val", or another folder in ``leftImg8bit/``; see :func:`find_parts`."""
    return find_parts(CITYSCAPES_LAYOUT, _NAMES, root, split, labelled=labelled)


def cityscapes_splits(root: Path) -> set[str]:
    """Return the names of the labelled splits that a root holds; ``train_extra`` only where it has fine labels."""
    return part_splits(CITYSCAPES_LAYOUT, _NAMES, root)


_RAW_IDS = {class_id: raw for raw, class_id in CITYSCAPES_LABEL_IDS.items()}

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
    unlabelled=("test",),
    benchmark=Benchmark(
        split="test",
        count=1525,
        size=(1024, 2048),
        ids=tuple(_RAW_IDS[class_id] for class_id in range(CITYSCAPES.num_classes)),
        folder="labelIds",
        suffix="_labelIds.png",
    ),
)
