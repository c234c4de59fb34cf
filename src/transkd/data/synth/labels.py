"""The raw Cityscapes label ids that the scenes use, and Cityscapes' colours for them."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Label(IntEnum):
    """Raw Cityscapes ``labelIds``; those below 7 are void."""

    EGO_VEHICLE = 1
    STATIC = 4
    DYNAMIC = 5
    GROUND = 6
    ROAD = 7
    SIDEWALK = 8
    BUILDING = 11
    WALL = 12
    FENCE = 13
    POLE = 17
    TRAFFIC_LIGHT = 19
    TRAFFIC_SIGN = 20
    VEGETATION = 21
    TERRAIN = 22
    SKY = 23
    PERSON = 24
    RIDER = 25
    CAR = 26
    TRUCK = 27
    BUS = 28
    TRAIN = 31
    MOTORCYCLE = 32
    BICYCLE = 33


COLOURS: dict[Label, tuple[int, int, int]] = {
    Label.EGO_VEHICLE: (0, 0, 0),
    Label.STATIC: (0, 0, 0),
    Label.DYNAMIC: (111, 74, 0),
    Label.GROUND: (81, 0, 81),
    Label.ROAD: (128, 64, 128),
    Label.SIDEWALK: (244, 35, 232),
    Label.BUILDING: (70, 70, 70),
    Label.WALL: (102, 102, 156),
    Label.FENCE: (190, 153, 153),
    Label.POLE: (153, 153, 153),
    Label.TRAFFIC_LIGHT: (250, 170, 30),
    Label.TRAFFIC_SIGN: (220, 220, 0),
    Label.VEGETATION: (107, 142, 35),
    Label.TERRAIN: (152, 251, 152),
    Label.SKY: (70, 130, 180),
    Label.PERSON: (220, 20, 60),
    Label.RIDER: (255, 0, 0),
    Label.CAR: (0, 0, 142),
    Label.TRUCK: (0, 0, 70),
    Label.BUS: (0, 60, 100),
    Label.TRAIN: (0, 80, 100),
    Label.MOTORCYCLE: (0, 0, 230),
    Label.BICYCLE: (119, 11, 32),
}


def colourise(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the Cityscapes colour picture of a label map.

    Args:
        labels: (H, W) raw label ids.

    Returns:
        (H, W, 3) RGB.
    """
    table = np.zeros((256, 3), np.uint8)
    for label, colour in COLOURS.items():
        table[label] = colour
    return table[labels]
