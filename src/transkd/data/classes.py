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


# Names and colours by the dataset; ERFNet's weights (Romera et al., 2018), which the TransKD paper uses for Cityscapes
# and ACDC alike; categories, which are scored too, by Cordts et al., 2016, table 1 of the supplement.
_CITYSCAPES: tuple[tuple[str, tuple[int, int, int], float, str], ...] = (
    ("road", (128, 64, 128), 2.5959737, "flat"),
    ("sidewalk", (244, 35, 232), 6.741505, "flat"),
    ("building", (70, 70, 70), 3.5353868, "construction"),
    ("wall", (102, 102, 156), 9.866315, "construction"),
    ("fence", (190, 153, 153), 9.690922, "construction"),
    ("pole", (153, 153, 153), 9.369371, "object"),
    ("traffic light", (250, 170, 30), 10.289124, "object"),
    ("traffic sign", (220, 220, 0), 9.953209, "object"),
    ("vegetation", (107, 142, 35), 4.3098087, "nature"),
    ("terrain", (152, 251, 152), 9.490392, "nature"),
    ("sky", (70, 130, 180), 7.674411, "sky"),
    ("person", (220, 20, 60), 9.396925, "human"),
    ("rider", (255, 0, 0), 10.347794, "human"),
    ("car", (0, 0, 142), 6.3928986, "vehicle"),
    ("truck", (0, 0, 70), 10.226673, "vehicle"),
    ("bus", (0, 60, 100), 10.241072, "vehicle"),
    ("train", (0, 80, 100), 10.28059, "vehicle"),
    ("motorcycle", (0, 0, 230), 10.396977, "vehicle"),
    ("bicycle", (119, 11, 32), 10.05567, "vehicle"),
)

CITYSCAPES = ClassSet(
    names=tuple(name for name, _, _, _ in _CITYSCAPES),
    palette=tuple(colour for _, colour, _, _ in _CITYSCAPES),
    weights=tuple(weight for _, _, weight, _ in _CITYSCAPES),
    categories=tuple(category for _, _, _, category in _CITYSCAPES),
)

_CAMVID = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign symbol": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}

CAMVID = ClassSet(names=tuple(_CAMVID), palette=tuple(_CAMVID.values()))

_CITYSCAPES_SCORED_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)

CITYSCAPES_LABEL_IDS: Mapping[int, int] = MappingProxyType(
    dict.fromkeys((*range(34), -1), IGNORE_INDEX) | {raw: train for train, raw in enumerate(_CITYSCAPES_SCORED_IDS)}
)
"""Cityscapes' raw label ids (0 to 33; -1 for licence plates, in uint8 files 255) to class ids or ignore."""
