"""Pascal VOC2012 and NYUv2 on trees of files in their real layouts and names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scene_files import VOC_AUG, VOC_SHAPES, VOC_TRAIN, VOC_VAL, ids, voc_label, voc_palette, write

from transkd.data import build_dataset
from transkd.data.check import Kind, survey
from transkd.data.datasets import find_incomplete_scenes, find_scenes, find_splits
from transkd.data.datasets.nyuv2 import NYUV2
from transkd.data.datasets.voc2012 import VOC2012
from transkd.errors import DataError


@pytest.mark.parametrize("below", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_voc_labels_are_palette_indices_with_ignored_borders(devkit: Path, below: str) -> None:
    dataset = build_dataset("voc2012", devkit / below, "trainval")
    assert [sample.name for sample in dataset.samples] == sorted(VOC_SHAPES)
    for i, sample in enumerate(dataset.samples):
        seed = list(VOC_SHAPES).index(sample.name)
        np.testing.assert_array_equal(dataset[i]["label"].numpy(), voc_label(seed, VOC_SHAPES[sample.name]))
        assert tuple(dataset[i]["image"].shape) == (3, *VOC_SHAPES[sample.name])
        assert 255 in dataset[i]["label"]


def test_voc_classes_and_colours() -> None:
    assert VOC2012.num_classes == 21
    assert (VOC2012.names[0], VOC2012.names[15], VOC2012.names[20]) == ("background", "person", "tv monitor")
    assert [channel for colour in VOC2012.palette for channel in colour] == voc_palette()[:63]
    assert VOC2012.palette[15] == (192, 128, 128)


def test_voc_train_and_val_are_the_lists(devkit: Path) -> None:
    assert [s.name for s in find_scenes("voc2012", devkit, "train").samples] == VOC_TRAIN
    assert [s.name for s in find_scenes("voc2012", devkit, "val").samples] == VOC_VAL
    assert find_splits("voc2012", devkit) == ["train", "val", "trainval", "trainaug"]


def test_voc_trainaug_takes_the_grey_labels_of_sbd(devkit: Path) -> None:
    dataset = build_dataset("voc2012", devkit, "trainaug")
    assert [sample.name for sample in dataset.samples] == sorted([*VOC_TRAIN, VOC_AUG])
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
    (inside / place).write_text("".join(line.format(name) + "\n" for name in (*VOC_TRAIN, VOC_AUG)))
    assert len(find_scenes("voc2012", devkit, "trainaug").samples) == 3


def test_voc_trainaug_must_not_hold_validation_images(devkit: Path) -> None:
    path = devkit / "VOCdevkit/VOC2012/ImageSets/Segmentation/trainaug.txt"
    path.write_text("".join(f"{name}\n" for name in VOC_SHAPES))
    with pytest.raises(DataError, match=r"1 of its images are in val\.txt too \(2007_000039\)"):
        find_scenes("voc2012", devkit, "trainaug")


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


def test_nyuv2_labels_that_count_from_0_are_not_read_one_off(nyu: Path) -> None:
    label = ids(0, range(40))
    label[0] = 255
    write(nyu / "labels40/0001.png", label)
    scenes = find_scenes("nyuv2", nyu, "train")
    with pytest.raises(DataError, match=r"outside the classes: 255 .*files that count them from 0 and hold 255 must"):
        scenes.read_label(scenes.samples[0].label)


def test_a_list_that_names_no_file_at_all_is_told(nyu: Path) -> None:
    (nyu / "train.txt").write_text("1\n2\n")
    (place,) = find_incomplete_scenes("nyuv2", nyu, "train").unmatched
    assert place.nowhere == ("1", "2")
    with pytest.raises(DataError, match=r"train\.txt: 2 names of no file \(1, 2\), beside 0 complete pairs"):
        find_scenes("nyuv2", nyu, "train")
    found = survey("nyuv2", str(nyu), ["train"])
    assert [finding.kind for finding in found.findings] == [Kind.UNMATCHED] * 2
    assert found.findings[0].message.startswith("1: name of no file (")
