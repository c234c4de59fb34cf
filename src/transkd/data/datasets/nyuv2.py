"""NYUv2 with 40 classes (Silberman et al., ECCV 2012; classes by Gupta et al., CVPR 2013)."""

from __future__ import annotations

from pathlib import Path

from transkd.data.classes import IGNORE_INDEX, ClassSet
from transkd.data.datasets.layout import IMAGE_SUFFIXES, Layout, Scenes, files_by_key, require_folders, require_split
from transkd.data.datasets.lists import first_stem, pair_listed
from transkd.data.labels import IdReader, lookup_table

IMAGES, LABELS = "images", "labels40"
VOID = 0

_CLASSES = {
    "wall": (174, 199, 232),
    "floor": (152, 223, 138),
    "cabinet": (31, 119, 180),
    "bed": (255, 187, 120),
    "chair": (188, 189, 34),
    "sofa": (140, 86, 75),
    "table": (255, 152, 150),
    "door": (214, 39, 40),
    "window": (197, 176, 213),
    "bookshelf": (148, 103, 189),
    "picture": (196, 156, 148),
    "counter": (23, 190, 207),
    "blinds": (178, 76, 76),
    "desk": (247, 182, 210),
    "shelves": (66, 188, 102),
    "curtain": (219, 219, 141),
    "dresser": (140, 57, 197),
    "pillow": (202, 185, 52),
    "mirror": (51, 176, 203),
    "floor mat": (200, 54, 131),
    "clothes": (92, 193, 61),
    "ceiling": (78, 71, 183),
    "books": (172, 114, 82),
    "refrigerator": (255, 127, 14),
    "television": (91, 163, 138),
    "paper": (153, 98, 156),
    "towel": (140, 153, 101),
    "shower curtain": (158, 218, 229),
    "box": (100, 125, 154),
    "whiteboard": (178, 127, 135),
    "person": (120, 185, 128),
    "night stand": (146, 111, 194),
    "toilet": (44, 160, 44),
    "sink": (112, 128, 144),
    "lamp": (96, 207, 209),
    "bathtub": (227, 119, 194),
    "bag": (213, 92, 176),
    "other structure": (94, 106, 211),
    "other furniture": (82, 84, 163),
    "other prop": (100, 85, 144),
}

NYUV2 = ClassSet(names=tuple(_CLASSES), palette=tuple(_CLASSES.values()))
"""Gupta's 40 classes, id 1 first, in ScanNet's colours for them."""


def find_nyuv2(root: Path, split: str) -> Scenes:
    """Find the scenes of "train.txt", "test.txt" or another list; id 0 is ignored, ids 1 to 40 are the classes."""
    require_folders(NYUV2_LAYOUT, root, (IMAGES, LABELS))
    require_split(NYUV2_LAYOUT, root, split, nyuv2_splits(root))
    images = files_by_key(root / IMAGES, "*", IMAGE_SUFFIXES)
    labels = files_by_key(root / LABELS, "*", (".png",))
    samples, unmatched = pair_listed(NYUV2_LAYOUT, root / f"{split}.txt", images, labels)
    return Scenes(samples, NYUV2, _READER, unmatched, split_by=f"{split}.txt")


def nyuv2_splits(root: Path) -> set[str]:
    """Return the names of the splits that a root has lists of: text files whose first line names an image."""
    names = {path.stem for path in (root / IMAGES).iterdir()} if (root / IMAGES).is_dir() else set()
    return {path.stem for path in root.glob("*.txt") if path.stem in NYUV2_LAYOUT.splits or first_stem(path) in names}


# 255 is refused: files that hold it count the classes from 0, so that all would be read one off.
_READER = IdReader(
    lookup_table({VOID: IGNORE_INDEX} | {index + 1: index for index in range(NYUV2.num_classes)}),
    advice="0 is void here, and 1 to 40 are the classes: files that count them from 0 and hold 255 must be rewritten.",
)

NYUV2_LAYOUT = Layout(
    name="nyuv2",
    title="NYUv2",
    classes=NYUV2,
    splits=("train", "test"),
    tree=(
        "  ROOT/\n"
        "    images/NAME.png  (or JPEG)\n"
        "    labels40/NAME.png  (0 is void, 1 to 40 the classes)\n"
        "    train.txt  test.txt  (one NAME a line)"
    ),
    origin=(
        "Make it from nyu_depth_v2_labeled.mat (https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html), "
        "classMapping40.mat and splits.mat: "
        "transkd-data action=nyuv2 mat=PATH mapping=PATH splits=PATH root=ROOT; "
        "or: transkd-data action=download data=nyuv2 data.root=ROOT"
    ),
    find=find_nyuv2,
    find_splits=nyuv2_splits,
)
