"""The classes of each dataset: names, colours and, where published, loss weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

IGNORE_INDEX = 255


@dataclass(frozen=True)
class ClassSet:
    """The classes that a dataset's labels use; models, metrics and pictures take them from here.

    Attributes:
        names: one name a class, in the order of the ids 0, 1, 2, ...
        palette: one (red, green, blue) colour a class, each 0 to 255.
        ignore_index: the id of pixels that are neither learned nor scored.
        weights: one published cross-entropy weight a class, None where there are none.
        categories: the coarser category of each class, None where the dataset has none.

    Raises:
        ValueError: if these differ in length, or there are too many classes for uint8.
    """

    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    ignore_index: int = IGNORE_INDEX
    weights: tuple[float, ...] | None = None
    categories: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.names), len(self.palette)}
        lengths |= {len(values) for values in (self.weights, self.categories) if values is not None}
        if len(lengths) > 1:
            raise ValueError(
                f"names, palette, weights and categories of a class set must be equally long, not {sorted(lengths)}"
            )
        if not 1 <= len(self.names) <= 254:
            raise ValueError(f"a class set holds 1 to 254 classes, not {len(self.names)}")

    @property
    def num_classes(self) -> int:
        """How many classes there are, the ignored id left out."""
        return len(self.names)


CITYSCAPES = ClassSet(
    names=(
        "road",
        "sidewalk",
        "building",
        "wall",
        "fence",
        "pole",
        "traffic light",
        "traffic sign",
        "vegetation",
        "terrain",
        "sky",
        "person",
        "rider",
        "car",
        "truck",
        "bus",
        "train",
        "motorcycle",
        "bicycle",
    ),
    palette=(
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (102, 102, 156),
        (190, 153, 153),
        (153, 153, 153),
        (250, 170, 30),
        (220, 220, 0),
        (107, 142, 35),
        (152, 251, 152),
        (70, 130, 180),
        (220, 20, 60),
        (255, 0, 0),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (0, 80, 100),
        (0, 0, 230),
        (119, 11, 32),
    ),
    # ERFNet's weights (Romera et al., 2018), which the TransKD paper uses for Cityscapes and ACDC alike.
    weights=(
        2.5959737,
        6.741505,
        3.5353868,
        9.866315,
        9.690922,
        9.369371,
        10.289124,
        9.953209,
        4.3098087,
        9.490392,
        7.674411,
        9.396925,
        10.347794,
        6.3928986,
        10.226673,
        10.241072,
        10.28059,
        10.396977,
        10.05567,
    ),
    # Cordts et al., 2016, table 1 of the supplement: categories are scored too.
    categories=(
        *["flat"] * 2,
        *["construction"] * 3,
        *["object"] * 3,
        *["nature"] * 2,
        "sky",
        *["human"] * 2,
        *["vehicle"] * 6,
    ),
)

CAMVID = ClassSet(
    names=(
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "sign symbol",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    ),
    palette=(
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
)

_CITYSCAPES_SCORED_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)

CITYSCAPES_LABEL_IDS: Mapping[int, int] = MappingProxyType(
    dict.fromkeys((*range(34), -1), IGNORE_INDEX) | {raw: train for train, raw in enumerate(_CITYSCAPES_SCORED_IDS)}
)
"""Cityscapes' raw label ids (0 to 33; -1 for licence plates, in uint8 files 255) to class ids or ignore."""
