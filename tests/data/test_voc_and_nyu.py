"""Pascal VOC2012 and NYUv2 on trees of files in their real layouts and names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scene_files import ids, picture, write

from transkd.data import build_dataset
from transkd.data.datasets import find_incomplete_scenes, find_scenes, find_splits
from transkd.data.datasets.nyuv2 import NYUV2
from transkd.data.datasets.voc2012 import VOC2012
from transkd.errors import DataError

SHAPES = {"2007_000032": (281, 500), "2007_000039": (375, 500), "2008_000002": (500, 375)}
TRAIN, VAL = ["2007_000032", "2008_000002"], ["2007_000039"]
SBD = "2010_000001"


def voc_palette() -> list[int]:
    """As in PASCAL's own VOCcolormap: bit j of the id goes to bit 7-j/3 of channel j%3."""
    colours = np.zeros((256, 3), int)
    for index in range(256):
        for bit in range(8):
            for channel in range(3):
                colours[index, channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
    return colours.ravel().tolist()


def voc_label(seed: int, shape: tuple[int, int]) -> np.ndarray:
    label = np.kron(ids(seed, range(21), (10, 10)), np.ones((50, 50), np.uint8))[: shape[0], : shape[1]]
    label[:, 30:33] = 255
    return label


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    inside = tmp_path / "VOCdevkit/VOC2012"
    (inside / "SegmentationClass").mkdir(parents=True)
    for seed, (name, shape) in enumerate(SHAPES.items()):
        write(inside / f"JPEGImages/{name}.jpg", picture(seed, shape))
        label = Image.fromarray(voc_label(seed, shape)).convert("P")
        label.putdata(voc_label(seed, shape).ravel().tolist())
        label.putpalette(voc_palette())
        label.save(inside / f"SegmentationClass/{name}.png")
        write(inside / f"SegmentationObject/{name}.png", ids(seed, range(3), shape))
        write(inside / f"SegmentationClassAug/{name}.png", voc_label(10 + seed, shape))
    write(inside / f"JPEGImages/{SBD}.jpg", picture(9, (333, 500)))
    write(inside / f"SegmentationClassAug/{SBD}.png", voc_label(20, (333, 500)))
    lists = inside / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for split, names in {"train": TRAIN, "val": VAL, "trainval": [*TRAIN, *VAL], "test": ["2008_000006"]}.items():
        (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    (lists / "trainaug.txt").write_text("".join(f"{name}\n" for name in (*TRAIN, SBD)))
    return tmp_path


@pytest.mark.parametrize("below", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_voc_labels_are_palette_indices_with_ignored_borders(devkit: Path, below: str) -> None:
    dataset = build_dataset("voc2012", devkit / below, "trainval")
    assert [sample.name for sample in dataset.samples] == sorted(SHAPES)
    for i, sample in enumerate(dataset.samples):
        seed = list(SHAPES).index(sample.name)
        np.testing.assert_array_equal(dataset[i]["label"].numpy(), voc_label(seed, SHAPES[sample.name]))
        assert tuple(dataset[i]["image"].shape) == (3, *SHAPES[sample.name])
        assert 255 in dataset[i]["label"]


def test_voc_classes_and_colours() -> None:
    assert VOC2012.num_classes == 21
    assert (VOC2012.names[0], VOC2012.names[15], VOC2012.names[20]) == ("background", "person", "tv monitor")
    assert [channel for colour in VOC2012.palette for channel in colour] == voc_palette()[:63]
    assert VOC2012.palette[15] == (192, 128, 128)


def test_voc_train_and_val_are_the_lists(devkit: Path) -> None:
    assert [s.name for s in find_scenes("voc2012", devkit, "train").samples] == TRAIN
    assert [s.name for s in find_scenes("voc2012", devkit, "val").samples] == VAL
    assert find_splits("voc2012", devkit) == ["train", "val", "trainval", "trainaug"]


def test_voc_trainaug_takes_the_grey_labels_of_sbd(devkit: Path) -> None:
    dataset = build_dataset("voc2012", devkit, "trainaug")
    assert [sample.name for sample in dataset.samples] == sorted([*TRAIN, SBD])
    np.testing.assert_array_equal(dataset[-1]["label"].numpy(), voc_label(20, (333, 500)))
    assert all(sample.label.parent.name == "SegmentationClassAug" for sample in dataset.samples)


@pytest.mark.parametrize(
    "place", ["ImageSets/SegmentationAug/trainaug.txt", "ImageSets/Segmentation/train_aug.txt", "../../trainaug.txt"]
)
@pytest.mark.parametrize("line", ["{}", "/JPEGImages/{0}.jpg /SegmentationClassAug/{0}.png"])
def test_voc_trainaug_lists_wherever_people_keep_them(devkit: Path, place: str, line: str) -> None:
    inside = devkit / "VOCdevkit/VOC2012"
    (inside / "ImageSets/Segmentation/trainaug.txt").unlink()
    with pytest.raises(
        DataError, match=r"holds no list trainaug\.txt for the split 'trainaug'.*data\.train_split=train"
    ):
        find_scenes("voc2012", devkit, "trainaug")
    (inside / place).parent.mkdir(exist_ok=True)
    (inside / place).write_text("".join(line.format(name) + "\n" for name in (*TRAIN, SBD)))
    assert len(find_scenes("voc2012", devkit, "trainaug").samples) == 3


def test_voc_trainaug_must_not_hold_validation_images(devkit: Path) -> None:
    path = devkit / "VOCdevkit/VOC2012/ImageSets/Segmentation/trainaug.txt"
    path.write_text("".join(f"{name}\n" for name in SHAPES))
    with pytest.raises(DataError, match=r"1 of its images are in val\.txt too \(2007_000039\)"):
        find_scenes("voc2012", devkit, "trainaug")


def test_voc_errors(devkit: Path) -> None:
    with pytest.raises(DataError, match="no labels for its 'test' split"):
        find_scenes("voc2012", devkit, "test")
    with pytest.raises(DataError, match=r"no split 'vall'; the splits there are: .*did you mean 'val'"):
        find_scenes("voc2012", devkit, "vall")
    inside = devkit / "VOCdevkit/VOC2012"
    (inside / "SegmentationClass/2007_000032.png").unlink()
    (inside / "ImageSets/Segmentation/val.txt").write_text("2007_000039\n2999_000001\n")
    with pytest.raises(DataError, match=r"train\.txt: 1 images without labels \(2007_000032\)"):
        find_scenes("voc2012", devkit, "train")
    (place,) = find_incomplete_scenes("voc2012", devkit, "val").unmatched
    assert place.nowhere == ("2999_000001",)
    (inside / "ImageSets/Segmentation/train.txt").write_text("")
    with pytest.raises(DataError, match=r"train\.txt: the list is empty"):
        find_scenes("voc2012", devkit, "train")
    with pytest.raises(DataError, match="holds no JPEGImages/"):
        find_scenes("voc2012", devkit / "VOCdevkit/VOC2012/JPEGImages", "train")


@pytest.fixture
def nyu(tmp_path: Path) -> Path:
    for number in (1, 2, 5, 1449):
        write(tmp_path / f"images/{number:04d}.png", picture(number, (480, 640)))
        label = np.kron(ids(number, range(41), (48, 64)), np.ones((10, 10), np.uint8))
        write(tmp_path / f"labels40/{number:04d}.png", label)
    (tmp_path / "train.txt").write_text("0005\n0001\n")
    (tmp_path / "test.txt").write_text("0002\n1449\n")
    return tmp_path


def test_nyuv2_void_is_ignored_and_ids_begin_at_one(nyu: Path) -> None:
    dataset = build_dataset("nyuv2", nyu, "test")
    assert [sample.name for sample in dataset.samples] == ["0002", "1449"]
    assert tuple(dataset[0]["image"].shape) == (3, 480, 640)
    raw = np.asarray(Image.open(dataset.samples[1].label)).astype(int)
    np.testing.assert_array_equal(dataset[1]["label"].numpy(), [[255 if v == 0 else v - 1 for v in row] for row in raw])
    assert find_splits("nyuv2", nyu) == ["train", "test"]


def test_nyuv2_classes() -> None:
    assert NYUV2.num_classes == 40
    assert (NYUV2.names[0], NYUV2.names[23], NYUV2.names[39]) == ("wall", "refrigerator", "other prop")
    assert len(set(NYUV2.palette)) == 40
    assert NYUV2.palette[1] == (152, 223, 138)


def test_nyuv2_errors(nyu: Path) -> None:
    write(nyu / "labels40/0001.png", np.full((480, 640), 41, np.uint8))
    dataset = build_dataset("nyuv2", nyu, "train")
    with pytest.raises(DataError, match=r"0001\.png: label ids outside the classes: 41 .*Known ids are 0-40"):
        dataset[0]
    (nyu / "labels40/0005.png").unlink()
    with pytest.raises(DataError, match=r"train\.txt: 1 images without labels \(0005\)"):
        find_scenes("nyuv2", nyu, "train")
    with pytest.raises(DataError, match="no split 'val'; the splits there are: test, train"):
        find_scenes("nyuv2", nyu, "val")
    with pytest.raises(DataError, match=r"(?s)holds no images/, labels40/.*transkd-data action=nyuv2 mat=PATH"):
        find_scenes("nyuv2", nyu / "images", "train")
