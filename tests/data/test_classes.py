from __future__ import annotations

import pytest

from transkd.data import CAMVID, CITYSCAPES, ClassSet
from transkd.data.classes import CITYSCAPES_LABEL_IDS

# From the dataset's own label definitions: raw id, name, train id (255 = ignored).
OFFICIAL = """0 unlabeled 255;1 ego vehicle 255;2 rectification border 255;3 out of roi 255;4 static 255;
5 dynamic 255;6 ground 255;7 road 0;8 sidewalk 1;9 parking 255;10 rail track 255;11 building 2;12 wall 3;
13 fence 4;14 guard rail 255;15 bridge 255;16 tunnel 255;17 pole 5;18 polegroup 255;19 traffic light 6;
20 traffic sign 7;21 vegetation 8;22 terrain 9;23 sky 10;24 person 11;25 rider 12;26 car 13;27 truck 14;
28 bus 15;29 caravan 255;30 trailer 255;31 train 16;32 motorcycle 17;33 bicycle 18;-1 license plate 255"""


def test_raw_ids_map_as_the_dataset_defines() -> None:
    rows = [row.split() for row in OFFICIAL.replace("\n", "").split(";")]
    assert {int(row[0]): int(row[-1]) for row in rows} == dict(CITYSCAPES_LABEL_IDS)
    names = {int(row[-1]): " ".join(row[1:-1]) for row in rows if row[-1] != "255"}
    assert tuple(names[i] for i in range(19)) == CITYSCAPES.names


def test_class_sets() -> None:
    assert CITYSCAPES.num_classes == 19
    assert CAMVID.num_classes == 11
    assert CITYSCAPES.palette[CITYSCAPES.names.index("car")] == (0, 0, 142)
    assert CITYSCAPES.palette[CITYSCAPES.names.index("sidewalk")] == (244, 35, 232)
    assert CAMVID.palette[CAMVID.names.index("pavement")] == (60, 40, 222)
    for classes in (CITYSCAPES, CAMVID):
        assert classes.ignore_index == 255
        assert len(set(classes.palette)) == len(set(classes.names)) == classes.num_classes
    assert CITYSCAPES.weights is not None
    assert sum(CITYSCAPES.weights) == pytest.approx(160.8550, abs=1e-4)


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="equally long"):
        ClassSet(("a", "b"), ((0, 0, 0),))
    with pytest.raises(ValueError, match="equally long"):
        ClassSet(("a",), ((0, 0, 0),), weights=(1.0, 2.0))
    with pytest.raises(ValueError, match="1 to 254"):
        ClassSet(("a",) * 255, ((0, 0, 0),) * 255)
