"""Pascal VOC 2012 segmentation (Everingham et al., 2015), with the extra labels of SBD (Hariharan et al., 2011)."""

from __future__ import annotations

from pathlib import Path

from transkd.data.classes import ClassSet
from transkd.data.datasets.layout import (
    Layout,
    Scenes,
    files_by_key,
    reject_unlabelled_split,
    require_folders,
    require_split,
)
from transkd.data.datasets.lists import pair_listed, read_rows, stem
from transkd.data.labels import class_id_reader
from transkd.errors import DataError

IMAGES, LABELS, AUGMENTED = "JPEGImages", "SegmentationClass", "SegmentationClassAug"
LISTS = "ImageSets/Segmentation"
PUBLISHED = ("train", "val", "trainval")
TRAINAUG = "trainaug"

_UNLABELLED = {"test": "the benchmark's server keeps them."}
_INSIDES = ("", "VOC2012", "VOCdevkit/VOC2012")
_TRAINAUG_FOLDERS = (LISTS, "ImageSets/SegmentationAug", "ImageSets", ".", "..", "../..")
_TRAINAUG_LISTS = [f"{folder}/{name}.txt" for folder in _TRAINAUG_FOLDERS for name in ("trainaug", "train_aug")]
_TRAINAUG_LISTS.append("ImageSets/SegmentationAug/train.txt")


def voc_colours(count: int) -> tuple[tuple[int, int, int], ...]:
    """Return the first colours of VOC's map, in which an id's bits are spread over the channels, highest first."""
    return tuple(_voc_colour(index) for index in range(count))


def _voc_colour(index: int) -> tuple[int, int, int]:
    red, green, blue = (
        sum((index >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(8)) for channel in range(3)
    )
    return red, green, blue


VOC2012 = ClassSet(
    names=(
        "background",
        "aeroplane",
        "bicycle",
        "bird",
        "boat",
        "bottle",
        "bus",
        "car",
        "cat",
        "chair",
        "cow",
        "dining table",
        "dog",
        "horse",
        "motorbike",
        "person",
        "potted plant",
        "sheep",
        "sofa",
        "train",
        "tv monitor",
    ),
    palette=voc_colours(21),
)


def find_voc2012(root: Path, split: str) -> Scenes:
    """Find a split's scenes; borders (255) are ignored.

    Args:
        root: an existing folder: the one that holds ``VOCdevkit/``, ``VOCdevkit/`` or ``VOC2012/`` itself.
        split: "train", "val", "trainval", or "trainaug" with the labels of ``SegmentationClassAug/``.

    Returns:
        The scenes, sorted by name.

    Raises:
        DataError: if folders or the list are missing, the list is empty or repeats itself, the split is "test", or
            the list of "trainaug" holds validation images.
    """
    inside = _inside(root)
    reject_unlabelled_split(VOC2012_LAYOUT, split, _UNLABELLED)
    augmented = split == TRAINAUG
    path = _trainaug_list(inside) if augmented else _published_list(inside, split)
    label_folder = AUGMENTED if augmented else LABELS
    require_folders(VOC2012_LAYOUT, inside, (IMAGES, label_folder))
    if augmented:
        _refuse_validation_images(inside, path)
    images = files_by_key(inside / IMAGES, "*", (".jpg", ".jpeg", ".png"))
    labels = files_by_key(inside / label_folder, "*", (".png",))
    samples, unmatched = pair_listed(VOC2012_LAYOUT, path, images, labels)
    return Scenes(samples, VOC2012, class_id_reader(VOC2012), unmatched, split_by=path.name)


def voc2012_splits(root: Path) -> set[str]:
    """Return the names of the labelled splits that a root has lists of."""
    inside = _inside(root)
    listed = {path.stem for path in (inside / LISTS).glob("*.txt")} - _UNLABELLED.keys()
    augmented = (inside / AUGMENTED).is_dir() and any((inside / name).is_file() for name in _TRAINAUG_LISTS)
    return listed - {TRAINAUG, "train_aug"} | ({TRAINAUG} if augmented else set())


def _inside(root: Path) -> Path:
    for inside in _INSIDES:
        if (root / inside / IMAGES).is_dir():
            return root / inside if inside else root
    require_folders(VOC2012_LAYOUT, root, (IMAGES,))
    raise AssertionError


def _published_list(inside: Path, split: str) -> Path:
    require_split(VOC2012_LAYOUT, inside, split, voc2012_splits(inside))
    return inside / LISTS / f"{split}.txt"


def _trainaug_list(inside: Path) -> Path:
    lists = [inside / name for name in _TRAINAUG_LISTS if (inside / name).is_file()]
    missing = [] if (inside / AUGMENTED).is_dir() else [f"{AUGMENTED}/"]
    missing += [] if lists else ["list trainaug.txt"]
    if missing:
        raise DataError(
            f"{inside} holds no {' and no '.join(missing)} for the split '{TRAINAUG}', which is not part of VOC2012 "
            f"itself: put the id PNGs made from SBD into {inside / AUGMENTED} and the list of their 10582 names into "
            f"{inside / LISTS / 'trainaug.txt'}, or use VOC2012's own 1464 scenes: data.train_split=train"
        )
    return lists[0]


def _refuse_validation_images(inside: Path, path: Path) -> None:
    validation = inside / LISTS / "val.txt"
    if not validation.is_file():
        return
    listed, scored = ({stem(row.image) for row in read_rows(file)} for file in (path, validation))
    both = sorted(listed & scored)
    if both:
        raise DataError(
            f"{path}: {len(both)} of its images are in val.txt too "
            f"({', '.join(both[:3])}{', ...' if len(both) > 3 else ''}), so that scores would be of training images; "
            "remove them from the list."
        )


VOC2012_LAYOUT = Layout(
    name="voc2012",
    title="Pascal VOC2012",
    classes=VOC2012,
    splits=(*PUBLISHED, TRAINAUG),
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
)
