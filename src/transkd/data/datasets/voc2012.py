"""Pascal VOC 2012 segmentation (Everingham et al., 2015), with the extra labels of SBD (Hariharan et al., 2011)."""

from __future__ import annotations

from pathlib import Path

from transkd.data.classes import ClassSet
from transkd.data.datasets.layout import Layout, Scenes, files_by_key, require_folders, require_split
from transkd.data.datasets.lists import pair_listed, read_rows, stem
from transkd.data.labels import class_id_reader
from transkd.errors import DataError, first_few

IMAGES, LABELS, AUGMENTED = "JPEGImages", "SegmentationClass", "SegmentationClassAug"
LISTS = "ImageSets/Segmentation"
TRAINAUG = "trainaug"
_TRAINAUG_LISTS = [
    f"{folder}/{name}.txt"
    for folder in (LISTS, "ImageSets/SegmentationAug", "../..")
    for name in ("trainaug", "train_aug")
]


def voc_colours(count: int) -> list[tuple[int, int, int]]:
    """Return the first colours of VOC's map, in which an id's bits are spread over the channels, highest first."""

    def channel(index: int, number: int) -> int:
        return sum((index >> (3 * bit + number) & 1) << (7 - bit) for bit in range(8))

    return [(channel(index, 0), channel(index, 1), channel(index, 2)) for index in range(count)]


_NAMES = (
    "background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, dining table, dog, horse, "
    "motorbike, person, potted plant, sheep, sofa, train, tv monitor"
)
VOC2012 = ClassSet(names=tuple(_NAMES.split(", ")), palette=tuple(voc_colours(21)))


def find_voc2012(root: Path, split: str) -> Scenes:
    """Find a split's scenes, sorted by name; borders (255) are ignored, "trainaug" takes ``SegmentationClassAug/``.

    The root is the folder that holds ``VOCdevkit/``, ``VOCdevkit/`` or ``VOC2012/`` itself.
    """
    inside = _inside(root)
    if split == TRAINAUG:
        path, label_folder = _trainaug_list(inside), AUGMENTED
    else:
        require_split(VOC2012_LAYOUT, inside, split, voc2012_splits(inside))
        path, label_folder = inside / LISTS / f"{split}.txt", LABELS
    require_folders(VOC2012_LAYOUT, inside, (IMAGES, label_folder))
    images = files_by_key(inside / IMAGES, "*", (".jpg", ".jpeg", ".png"))
    labels = files_by_key(inside / label_folder, "*", (".png",))
    samples, unmatched = pair_listed(VOC2012_LAYOUT, path, images, labels)
    return Scenes(samples, VOC2012, class_id_reader(VOC2012), unmatched, split_by=path.name)


def voc2012_splits(root: Path) -> set[str]:
    """Return the names of the labelled splits that a root has lists of."""
    inside = _inside(root)
    listed = {path.stem for path in (inside / LISTS).glob("*.txt")} - {*VOC2012_LAYOUT.unlabelled, "train_aug"}
    augmented = (inside / AUGMENTED).is_dir() and any((inside / name).is_file() for name in _TRAINAUG_LISTS)
    return listed | {TRAINAUG} if augmented else listed - {TRAINAUG}


def _inside(root: Path) -> Path:
    """Return the folder that holds the images' folder: the root itself, or one in it."""
    for inside in (root, root / "VOC2012", root / "VOCdevkit/VOC2012"):
        if (inside / IMAGES).is_dir():
            return inside
    require_folders(VOC2012_LAYOUT, root, (IMAGES,))
    return root


def _trainaug_list(inside: Path) -> Path:
    """Return the list of trainaug, none of whose images may be in the validation split."""
    lists = [inside / name for name in _TRAINAUG_LISTS if (inside / name).is_file()]
    missing = [] if (inside / AUGMENTED).is_dir() else [f"{AUGMENTED}/"]
    missing += [] if lists else ["list trainaug.txt"]
    if missing:
        raise DataError(
            f"{inside} holds no {' and no '.join(missing)} for the split '{TRAINAUG}', which is not part of VOC2012 "
            f"itself: put the id PNGs made from SBD into {inside / AUGMENTED} and the list of their 10582 names into "
            f"{inside / LISTS / 'trainaug.txt'}, or use VOC2012's own 1464 scenes: data.train_split=train"
        )
    validation = inside / LISTS / "val.txt"
    files = (lists[0], validation) if validation.is_file() else ()
    both = sorted(set.intersection(*({stem(row.image) for row in read_rows(file)} for file in files))) if files else []
    if both:
        raise DataError(
            f"{lists[0]}: {len(both)} of its images are in val.txt too ({first_few(both)}), so that scores would be of "
            "training images; remove them from the list."
        )
    return lists[0]


VOC2012_LAYOUT = Layout(
    name="voc2012",
    title="Pascal VOC2012",
    classes=VOC2012,
    splits=("train", "val", "trainval", TRAINAUG),
    tree=(
        "  ROOT/  (or ROOT/VOC2012/, or ROOT/VOCdevkit/VOC2012/)\n"
        "    JPEGImages/NAME.jpg\n"
        "    SegmentationClass/NAME.png\n"
        "    ImageSets/Segmentation/{train,val,trainval}.txt\n"
        "    SegmentationClassAug/NAME.png  ImageSets/Segmentation/trainaug.txt  (for the split trainaug)"
    ),
    origin=(
        "Download VOCtrainval_11-May-2012.tar from http://host.robots.ox.ac.uk/pascal/VOC/voc2012 "
        "and unpack it into ROOT; or: transkd-data action=download data=voc2012 data.root=ROOT"
    ),
    find=find_voc2012,
    find_splits=voc2012_splits,
    unlabelled=("test",),
)
