"""The published datasets, on a few files in their real layouts and names."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scene_files import ids, picture, voc_palette, write

from transkd.data import CAMVID, CITYSCAPES, ClassSet, Pick, available_datasets, build_dataset
from transkd.data.check import Kind, survey
from transkd.data.classes import CITYSCAPES_LABEL_IDS
from transkd.data.datasets import find_scenes, find_splits
from transkd.data.datasets.nyuv2 import NYUV2
from transkd.data.datasets.voc2012 import VOC2012
from transkd.data.transforms import paper, standard
from transkd.errors import ConfigError, DataError

# From Cityscapes' own label definitions: raw id, name, train id (255 = ignored).
OFFICIAL = """0 unlabeled 255;1 ego vehicle 255;2 rectification border 255;3 out of roi 255;4 static 255;
5 dynamic 255;6 ground 255;7 road 0;8 sidewalk 1;9 parking 255;10 rail track 255;11 building 2;12 wall 3;
13 fence 4;14 guard rail 255;15 bridge 255;16 tunnel 255;17 pole 5;18 polegroup 255;19 traffic light 6;
20 traffic sign 7;21 vegetation 8;22 terrain 9;23 sky 10;24 person 11;25 rider 12;26 car 13;27 truck 14;
28 bus 15;29 caravan 255;30 trailer 255;31 train 16;32 motorcycle 17;33 bicycle 18;-1 license plate 255"""


def test_class_sets() -> None:
    rows = [row.split() for row in OFFICIAL.replace("\n", "").split(";")]
    assert {int(row[0]): int(row[-1]) for row in rows} == dict(CITYSCAPES_LABEL_IDS)
    names = {int(row[-1]): " ".join(row[1:-1]) for row in rows if row[-1] != "255"}
    assert tuple(names[i] for i in range(19)) == CITYSCAPES.names
    assert sum(CITYSCAPES.weights) == pytest.approx(160.8550, abs=1e-4)
    colours = {(CITYSCAPES, "car"): (0, 0, 142), (CITYSCAPES, "sidewalk"): (244, 35, 232)}
    colours |= {
        (CAMVID, "pavement"): (60, 40, 222),
        (VOC2012, "person"): (192, 128, 128),
    }
    for (classes, name), colour in colours.items():
        assert classes.palette[classes.names.index(name)] == colour
    for classes, count in ((CITYSCAPES, 19), (CAMVID, 11), (VOC2012, 21), (NYUV2, 40)):
        assert classes.ignore_index == 255
        assert len(set(classes.palette)) == len(set(classes.names)) == classes.num_classes == count
    assert [channel for colour in VOC2012.palette for channel in colour] == voc_palette()[:63]
    assert (NYUV2.names[0], NYUV2.names[23], NYUV2.names[39]) == ("wall", "refrigerator", "other prop")
    with pytest.raises(ValueError, match="equally long"):
        ClassSet(("a",), ((0, 0, 0),), weights=(1.0, 2.0))


def test_cityscapes_raw_ids_are_mapped(cityscapes_root: Path) -> None:
    dataset = build_dataset("cityscapes", cityscapes_root, "train")
    assert [s.name for s in dataset.samples] == ["aachen_000000_000019", "aachen_000001_000019", "bochum_000000_000313"]
    assert dataset.classes is CITYSCAPES
    for i, sample in enumerate(dataset.samples):
        raw = np.asarray(Image.open(sample.label)).astype(int)
        expected = np.vectorize(lambda v: CITYSCAPES_LABEL_IDS[-1 if v == 255 else v])(raw)
        np.testing.assert_array_equal(dataset[i]["label"].numpy(), expected)
        np.testing.assert_array_equal(dataset[i]["image"].permute(1, 2, 0).numpy(), picture(i))
        assert set(np.unique(expected)) == {*range(19), 255}


def test_cityscapes_train_ids_are_used_where_complete(cityscapes_root: Path) -> None:
    samples = find_scenes("cityscapes", cityscapes_root, "val").samples
    for i, sample in enumerate(samples):
        partly = find_scenes("cityscapes", cityscapes_root, "val")
        assert all(each.label.name.endswith("_labelIds.png") for each in partly.samples)
        write(sample.label.with_name(sample.label.name.replace("labelIds", "labelTrainIds")), ids(50 + i))
    dataset = build_dataset("cityscapes", cityscapes_root, "val")
    for i in range(2):
        np.testing.assert_array_equal(dataset[i]["label"].numpy(), ids(50 + i))
        samples[i].label.unlink()
    assert len(build_dataset("cityscapes", cityscapes_root, "val")) == 2


def test_extra_cityscapes_images_without_fine_labels_are_no_split(cityscapes_root: Path) -> None:
    name = "train_extra/x/x_000000_000000"
    write(cityscapes_root / f"leftImg8bit/{name}_leftImg8bit.png", picture(0))
    assert find_splits("cityscapes", cityscapes_root) == ["train", "val"]
    write(cityscapes_root / f"gtFine/{name}_gtFine_labelIds.png", ids(0))
    assert find_splits("cityscapes", cityscapes_root) == ["train", "val", "train_extra"]


def test_acdc_by_condition_and_all_together(acdc_root: Path) -> None:
    everything = find_scenes("acdc", acdc_root, "train")
    assert [s.group for s in everything.samples] == [c for c in ("fog", "night", "rain", "snow") for _ in "ab"]
    assert everything.samples[0].name == "GOPR0470_frame_000041"
    assert not any("_ref" in str(sample.image.relative_to(acdc_root)) for sample in everything.samples)
    night = build_dataset("acdc", acdc_root, "val", conditions="night")
    assert [sample.group for sample in night.samples] == ["night", "night"]
    np.testing.assert_array_equal(night[0]["label"].numpy(), ids(141))
    two = find_scenes("acdc", acdc_root, "val", conditions=["snow", "fog"])
    assert [sample.group for sample in two.samples] == ["fog", "fog", "snow", "snow"]


@pytest.mark.parametrize("suffix", [".png", ".JPG"])
def test_camvid(make_camvid, suffix: str) -> None:
    dataset = build_dataset("camvid", make_camvid(suffix=suffix), "train")
    assert (len(dataset), dataset.classes, dataset.samples[0].name) == (7, CAMVID, "0001TP_006690")
    raw = ids(0, range(12))
    np.testing.assert_array_equal(dataset[0]["label"].numpy(), np.where(raw == 11, 255, raw))


@pytest.mark.parametrize("below", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_voc_labels_are_palette_indices_with_ignored_borders(devkit: Path, below: str) -> None:
    dataset = build_dataset("voc2012", devkit / below, "trainval")
    assert [sample.name for sample in dataset.samples] == ["a", "b", "c"]
    for i in range(3):
        label = ids(i, range(21))
        label[:, 3:5] = 255
        np.testing.assert_array_equal(dataset[i]["label"].numpy(), label)
    assert [[s.name for s in find_scenes("voc2012", devkit, split).samples] for split in ("train", "val")] == [
        ["a", "c"],
        ["b"],
    ]
    assert find_splits("voc2012", devkit) == ["train", "val", "trainval", "trainaug"]


@pytest.mark.parametrize(
    "place", ["ImageSets/Segmentation/train_aug", "ImageSets/SegmentationAug/trainaug", "../../trainaug"]
)
def test_voc_trainaug(devkit: Path, place: str) -> None:
    inside = devkit / "VOCdevkit/VOC2012"
    (inside / "ImageSets/Segmentation/trainaug.txt").unlink()
    with pytest.raises(DataError, match=r"holds no list trainaug\.txt for .*data\.train_split=train"):
        find_scenes("voc2012", devkit, "trainaug")
    path = inside / f"{place}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"/JPEGImages/{name}.jpg /SegmentationClassAug/{name}.png\n" for name in "acd"))
    samples = find_scenes("voc2012", devkit, "trainaug").samples
    assert [(s.name, s.label.parent.name) for s in samples] == [(name, "SegmentationClassAug") for name in "acd"]
    path.write_text("a\nb\n")
    with pytest.raises(DataError, match=r"1 of its images are in val\.txt too \(b\)"):
        find_scenes("voc2012", devkit, "trainaug")


def test_nyuv2_void_is_ignored_and_ids_begin_at_one(nyu: Path) -> None:
    dataset = build_dataset("nyuv2", nyu, "test")
    assert [sample.name for sample in dataset.samples] == ["0002", "1449"]
    expected = [[255 if v == 0 else v - 1 for v in row] for row in ids(1449, range(41)).tolist()]
    assert dataset[1]["label"].tolist() == expected
    (nyu / "notes.txt").write_text("anything")
    assert find_splits("nyuv2", nyu) == ["train", "test"]
    label = ids(0, range(40))
    label[0] = 255
    write(nyu / "labels40/0001.png", label)
    with pytest.raises(DataError, match=r"outside the classes: 255 .*files that count them from 0 and hold 255 must"):
        build_dataset("nyuv2", nyu, "train")[0]


def test_names_in_a_list_that_no_file_has(nyu: Path) -> None:
    (nyu / "train.txt").write_text("1\n2\n")
    (place,) = find_scenes("nyuv2", nyu, "train", complete=False).unmatched
    assert place.nowhere == ("1", "2")
    with pytest.raises(DataError, match=r"train\.txt: 2 names of no file \(1, 2\), beside 0 complete pairs"):
        find_scenes("nyuv2", nyu, "train")
    found = survey("nyuv2", str(nyu), ["train"])
    assert [finding.kind for finding in found.findings] == [Kind.UNMATCHED] * 2
    assert found.findings[0].message.startswith("1: name of no file (")


def test_images_that_a_server_scores_need_no_labels(cityscapes_root: Path, acdc_root: Path) -> None:
    write(cityscapes_root / "leftImg8bit/test/berlin/berlin_000001_000019_leftImg8bit.png", picture(1, (40, 50)))
    write(cityscapes_root / "leftImg8bit/test/berlin/berlin_000000_000019_leftImg8bit.png", picture(0))
    shutil.rmtree(cityscapes_root / "gtFine")
    dataset = build_dataset("cityscapes", cityscapes_root, "test", labelled=False)
    assert [sample.name for sample in dataset.samples] == ["berlin_000000_000019", "berlin_000001_000019"]
    np.testing.assert_array_equal(dataset[1]["image"].permute(1, 2, 0).numpy(), picture(1, (40, 50)))
    np.testing.assert_array_equal(dataset[1]["label"].numpy(), np.full((40, 50), 255))
    scenes = find_scenes("acdc", acdc_root, "test", labelled=False, conditions=["snow", "fog"])
    assert [sample.group for sample in scenes.samples] == ["fog", "snow"]
    shutil.rmtree(acdc_root / "rgb_anon/night/test")
    shutil.rmtree(cityscapes_root / "leftImg8bit/test/berlin")
    for name, root, split, message in (
        ("cityscapes", cityscapes_root, "test", r"leftImg8bit/test holds no images\. Cityscapes is expected as"),
        ("cityscapes", cityscapes_root, "tset", "no split 'tset'; the splits there are: test, train, val"),
        ("acdc", acdc_root, "test", r"rgb_anon/night: no split 'test'"),
    ):
        with pytest.raises(DataError, match=message):
            find_scenes(name, root, split, labelled=False)
    with pytest.raises(ConfigError, match="CamVid has no server that scores images without labels"):
        find_scenes("camvid", cityscapes_root, "val", labelled=False)


def test_roots_may_be_relative_or_at_home(make_camvid, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_camvid()
    monkeypatch.chdir(root.parent)
    monkeypatch.setenv("HOME", str(root.parent))
    for name in ("camvid", "~/camvid"):
        assert find_scenes("camvid", name, "val").samples == find_scenes("camvid", root, "val").samples


@pytest.fixture
def roots(acdc_root: Path, cityscapes_root: Path, devkit: Path, nyu: Path, make_camvid) -> dict[str, Path]:
    found = {"acdc": acdc_root, "cityscapes": cityscapes_root, "camvid": make_camvid(), "voc2012": devkit, "nyuv2": nyu}
    return found | {"folder": devkit}


def remove(root: Path, *names: str) -> None:
    for name in names:
        shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()


VOC = "VOCdevkit/VOC2012"


@pytest.mark.parametrize(
    ("name", "below", "split", "message"),
    [
        ("cityscapes", "nowhere", "train", r"nowhere does not exist(.|\n)*cityscapes-dataset\.com"),
        ("camvid", "val/0001TP_006690.png", "train", r"is a file, not(.|\n)*trainannot/NAME\.png"),
        ("camvid", "..", "train", "holds no train/, trainannot/.*Did you mean .*camvid"),
        ("cityscapes", "leftImg8bit", "train", r"Did you mean .*cityscapes\?"),
        ("voc2012", f"{VOC}/JPEGImages", "train", "holds no JPEGImages/"),
        ("nyuv2", "images", "train", r"(?s)holds no images/, labels40/.*transkd-data action=nyuv2 mat=P"),
        ("cityscapes", "", "valid", r"no split 'valid'; the splits there are: train, val \(did you mean 'val'"),
        ("cityscapes", "", "test", r"no labels for its 'test' split.*server keeps them.*train, val"),
        ("acdc", "", "train_ref", "no labels for its 'train_ref' split"),
        ("voc2012", "", "test", "no labels for its 'test' split"),
        ("nyuv2", "", "val", "no split 'val'; the splits there are: test, train"),
        ("camvid", "", "test", "no split 'test'; the splits there are: train, val"),
    ],
)
def test_roots_and_splits_that_are_not_there(roots, name: str, below: str, split: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_scenes(name, roots[name] / below, split)


@pytest.mark.parametrize(
    ("name", "removed", "split", "message"),
    [
        ("cityscapes", ["gtFine/val"], "val", r"2 images without labels \(frankfurt/frankfurt_0000"),
        ("acdc", ["rgb_anon/rain"], "val", "holds no rgb_anon/rain/"),
        (
            "camvid",
            ["trainannot/0001TP_006690.png", "train/0001TP_006720.png"],
            "train",
            r"1 images without labels \(0001TP_006690\) and 1 labels without images \(0001TP_006720\), beside 5 c",
        ),
        ("voc2012", [f"{VOC}/SegmentationClass/a.png"], "train", r"train\.txt: 1 images without labels \(a\)"),
        ("nyuv2", ["labels40/0005.png"], "train", r"train\.txt: 1 images without labels \(0005\)"),
    ],
)
def test_missing_files_are_named(roots, name: str, removed: list[str], split: str, message: str) -> None:
    remove(roots[name], *removed)
    with pytest.raises(DataError, match=message):
        find_scenes(name, roots[name], split)


def test_two_files_of_one_name_and_empty_things(make_camvid, devkit: Path, tmp_path: Path) -> None:
    root = make_camvid()
    write(root / "train/0001TP_006690.jpg", picture(0))
    (devkit / VOC / "ImageSets/Segmentation/train.txt").write_text("")
    (tmp_path / "empty").mkdir()
    for name, folder, message in (
        ("camvid", root, r"6690\.png and .*6690\.jpg have the same name"),
        ("voc2012", devkit, r"train\.txt: the list is empty"),
        ("acdc", tmp_path / "empty", r"empty is empty(.|\n)*rgb_anon/(.|\n)*acdc\.vision\.ee\.ethz"),
    ):
        with pytest.raises(DataError, match=message):
            find_scenes(name, folder, "train")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cityscape", {}, r"no dataset 'cityscape': did you mean 'cityscapes'\?"),
        ("camvid", {"conditions": "fog"}, r"CamVid: data.options.conditions: there is no such key; it takes none"),
        ("acdc", {"condition": "fog"}, r"condition: there is no such key; did you mean 'conditions'\?"),
        (
            "acdc",
            {"conditions": ["fog", "nigth"]},
            r"ACDC: data.options.conditions: give all, or one or several",
        ),
        ("acdc", {"conditions": []}, r"ACDC: data.options.conditions: give all, or one or several"),
    ],
)
def test_names_that_do_not_exist(tmp_path: Path, name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_scenes(name, tmp_path, "val", **options)
    assert available_datasets() == ("acdc", "camvid", "cityscapes", "folder", "nyuv2", "voc2012")


def test_items(make_dataset, tmp_path: Path) -> None:
    dataset = make_dataset([(picture(i), ids(i)) for i in range(3)])
    item = dataset[1]
    assert item["index"] == 1
    assert item["image"].dtype == item["label"].dtype == torch.uint8
    np.testing.assert_array_equal(item["image"].numpy(), picture(1).transpose(2, 0, 1))
    np.testing.assert_array_equal(item["label"].numpy(), ids(1))
    assert item["image"].is_contiguous()
    assert (dataset[-1]["index"], len(list(dataset))) == (2, 3)
    names = [str(tmp_path / "image_002.png"), str(tmp_path / "image_000.png")]
    assert dataset.file_names(torch.tensor([2, 0])) == dataset.file_names([2, 0]) == names


def test_draws_depend_on_seed_epoch_and_index_alone(make_dataset) -> None:
    pairs = [(picture(0), ids(0))] * 3
    dataset = make_dataset(pairs, standard(24, photometric=1), seed=1)
    draws = {(e, i): dataset[Pick(e, i)] for e in range(3) for i in range(3)}
    again = make_dataset(pairs, standard(24, photometric=1), seed=1)
    for (epoch, index), item in reversed(draws.items()):
        for key in ("image", "label"):
            assert torch.equal(item[key], again[Pick(epoch, index)][key])
    assert len({item["image"].numpy().tobytes() for item in draws.values()}) == 9
    assert torch.equal(dataset[2]["image"], draws[0, 2]["image"])
    other_run = make_dataset(pairs, standard(24, photometric=1), seed=2)
    assert not torch.equal(other_run[0]["image"], draws[0, 0]["image"])


def test_padding_is_ignored_altogether(make_dataset) -> None:
    dataset = make_dataset([(picture(0), ids(0))], paper(24))
    item = dataset[Pick(0, 0, padding=True)]
    assert item["label"].unique().tolist() == [255]
    assert torch.equal(item["image"], dataset[0]["image"])


def test_label_of_another_size_than_its_image(make_dataset) -> None:
    dataset = make_dataset([(picture(0, (24, 32)), ids(0, size=(32, 24)))])
    message = r"label_000\.png: the label is 32x24 pixels .*image_000\.png is 24x32.*rotated by 90 degrees"
    with pytest.raises(DataError, match=message):
        dataset[0]
