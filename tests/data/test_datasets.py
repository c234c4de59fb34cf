from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scene_files import ids, picture, write

from transkd.data import CAMVID, CITYSCAPES, available_datasets, build_dataset
from transkd.data.classes import CITYSCAPES_LABEL_IDS
from transkd.data.datasets import find_scenes, find_splits
from transkd.errors import ConfigError, DataError


def test_cityscapes_raw_ids_are_mapped(cityscapes_root: Path) -> None:
    dataset = build_dataset("cityscapes", cityscapes_root, "train")
    assert [sample.name for sample in dataset.samples] == [
        "aachen_000000_000019",
        "aachen_000001_000019",
        "bochum_000000_000313",
    ]
    assert dataset.classes is CITYSCAPES
    for i, sample in enumerate(dataset.samples):
        raw = np.asarray(Image.open(sample.label)).astype(int)
        expected = np.vectorize(lambda v: CITYSCAPES_LABEL_IDS[-1 if v == 255 else v])(raw)
        np.testing.assert_array_equal(dataset[i]["label"].numpy(), expected)
        np.testing.assert_array_equal(dataset[i]["image"].permute(1, 2, 0).numpy(), picture(i))
        assert set(np.unique(expected)) == {*range(19), 255}


def test_cityscapes_train_ids_are_used_where_complete(cityscapes_root: Path) -> None:
    scenes = find_scenes("cityscapes", cityscapes_root, "val")
    assert all(sample.label.name.endswith("_labelIds.png") for sample in scenes.samples)
    written = []
    for i, sample in enumerate(scenes.samples):
        partly = find_scenes("cityscapes", cityscapes_root, "val")
        assert all(sample.label.name.endswith("_labelIds.png") for sample in partly.samples)
        label = ids(50 + i)
        label[0, 0] = 255
        written.append(label)
        write(sample.label.with_name(sample.label.name.replace("labelIds", "labelTrainIds")), label)
    dataset = build_dataset("cityscapes", cityscapes_root, "val")
    for i, label in enumerate(written):
        np.testing.assert_array_equal(dataset[i]["label"].numpy(), label)
    for sample in scenes.samples:
        sample.label.unlink()
    assert len(build_dataset("cityscapes", cityscapes_root, "val")) == 2


def test_acdc_by_condition_and_all_together(acdc_root: Path) -> None:
    everything = find_scenes("acdc", acdc_root, "train")
    assert [sample.group for sample in everything.samples] == [
        c for c in ("fog", "night", "rain", "snow") for _ in "ab"
    ]
    assert everything.samples[0].name == "GOPR0470_frame_000041"
    assert everything.samples[0].label.name == "GOPR0470_frame_000041_gt_labelTrainIds.png"
    assert not any("_ref" in str(sample.image.relative_to(acdc_root)) for sample in everything.samples)
    assert everything.classes is CITYSCAPES
    night = build_dataset("acdc", acdc_root, "val", conditions="night")
    assert [sample.group for sample in night.samples] == ["night", "night"]
    np.testing.assert_array_equal(night[0]["label"].numpy(), ids(141))
    two = find_scenes("acdc", acdc_root, "val", conditions=["snow", "fog"])
    assert [sample.group for sample in two.samples] == ["fog", "fog", "snow", "snow"]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPG", ".jpeg"])
def test_camvid(make_camvid, suffix: str) -> None:
    dataset = build_dataset("camvid", make_camvid(suffix=suffix), "train")
    assert len(dataset) == 7
    assert dataset.classes is CAMVID
    assert dataset.samples[0].name == "0001TP_006690"
    raw = ids(0, range(12))
    assert (raw == 11).any()
    np.testing.assert_array_equal(dataset[0]["label"].numpy(), np.where(raw == 11, 255, raw))


def test_roots_may_be_relative_or_at_home(make_camvid, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_camvid()
    monkeypatch.chdir(root.parent)
    monkeypatch.setenv("HOME", str(root.parent))
    for name in ("camvid", "./camvid", "~/camvid"):
        assert find_scenes("camvid", name, "val").samples == find_scenes("camvid", root, "val").samples


def test_extra_cityscapes_images_without_fine_labels_are_no_split(cityscapes_root: Path) -> None:
    name = "train_extra/x/x_000000_000000"
    write(cityscapes_root / f"leftImg8bit/{name}_leftImg8bit.png", picture(0))
    assert find_splits("cityscapes", cityscapes_root) == ["train", "val"]
    write(cityscapes_root / f"gtFine/{name}_gtFine_labelIds.png", ids(0))
    assert find_splits("cityscapes", cityscapes_root) == ["train", "val", "train_extra"]


@pytest.fixture
def roots(acdc_root: Path, cityscapes_root: Path, devkit: Path, nyu: Path, make_camvid) -> dict[str, Path]:
    return {
        "acdc": acdc_root,
        "cityscapes": cityscapes_root,
        "camvid": make_camvid(),
        "voc2012": devkit,
        "nyuv2": nyu,
    }


LISTS = "VOCdevkit/VOC2012/ImageSets/Segmentation"


@pytest.mark.parametrize(
    ("name", "change", "split", "message"),
    [
        # Another folder than the root
        ("cityscapes", lambda r: r / "nowhere", "train", r"nowhere does not exist(.|\n)*cityscapes-dataset\.com"),
        ("acdc", lambda r: mkdir(r / "empty"), "train", r"empty is empty(.|\n)*rgb_anon/(.|\n)*acdc\.vision\.ee\.ethz"),
        ("camvid", lambda r: sorted((r / "val").iterdir())[0], "train", r"is a file, not(.|\n)*trainannot/NAME\.png"),
        ("camvid", lambda r: r.parent, "train", "holds no train/, trainannot/.*Did you mean .*camvid"),
        ("cityscapes", lambda r: r / "leftImg8bit", "train", r"Did you mean .*cityscapes\?"),
        ("voc2012", lambda r: r / "VOCdevkit/VOC2012/JPEGImages", "train", "holds no JPEGImages/"),
        ("nyuv2", lambda r: r / "images", "train", r"(?s)holds no images/, labels40/.*transkd-data action=nyuv2 mat=P"),
        # Splits
        ("cityscapes", None, "valid", r"no split 'valid'; the splits there are: train, val \(did you mean 'val'"),
        ("cityscapes", None, "test", r"no labels for its 'test' split.*ignore every pixel.*train, val"),
        ("acdc", None, "test", "no labels for its 'test' split"),
        ("acdc", None, "train_ref", "the splits there are: train, val"),
        ("voc2012", None, "test", "no labels for its 'test' split"),
        ("nyuv2", None, "val", "no split 'val'; the splits there are: test, train"),
        ("camvid", None, "test", "no split 'test'; the splits there are: train, val"),
        # Files without counterparts
        ("cityscapes", lambda r: remove(r, "gtFine/val"), "val", r"2 images without labels \(frankfurt/frankfurt_0000"),
        ("acdc", lambda r: remove(r, "rgb_anon/rain"), "val", "no rain; the conditions there are: fog, night, snow"),
        (
            "camvid",
            lambda r: remove(r, "trainannot/0001TP_006690.png", "train/0001TP_006720.png"),
            "train",
            r"1 images without labels \(0001TP_006690\) and 1 labels without images \(0001TP_006720\), beside 5 c",
        ),
        (
            "camvid",
            lambda r: write(r / "train/0001TP_006690.jpg", picture(0)),
            "train",
            r"6690\.png and .*6690\.jpg have the same name",
        ),
        (
            "voc2012",
            lambda r: remove(r, "VOCdevkit/VOC2012/SegmentationClass/2007_000032.png"),
            "train",
            r"train\.txt: 1 images without labels \(2007_000032\)",
        ),
        ("voc2012", lambda r: (r / LISTS / "train.txt").write_text(""), "train", r"train\.txt: the list is empty"),
        ("nyuv2", lambda r: remove(r, "labels40/0005.png"), "train", r"train\.txt: 1 images without labels \(0005\)"),
    ],
)
def test_mistakes_in_files(roots: dict[str, Path], name: str, change, split: str, message: str) -> None:
    changed = change(roots[name]) if change else None
    root = changed if isinstance(changed, Path) and changed.suffix != ".jpg" else roots[name]
    with pytest.raises(DataError, match=message):
        find_scenes(name, root, split)


def mkdir(path: Path) -> Path:
    path.mkdir()
    return path


def remove(root: Path, *names: str) -> None:
    for name in names:
        shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cityscape", {}, r"no dataset 'cityscape': did you mean 'cityscapes'\?"),
        ("camvid", {"conditions": "fog"}, r"CamVid: data.options.conditions: there is no such key; it takes none"),
        ("acdc", {"condition": "fog"}, r"condition: there is no such key; did you mean 'conditions'\?"),
        (
            "acdc",
            {"conditions": ["fog", "nigth"]},
            r"ACDC: data.options.conditions: give all, or one or several of fog",
        ),
        ("acdc", {"conditions": []}, r"ACDC: data.options.conditions: give all, or one or several of fog"),
    ],
)
def test_names_that_do_not_exist(acdc_root: Path, name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_scenes(name, acdc_root, "val", **options)
    assert available_datasets() == ("acdc", "camvid", "cityscapes", "folder", "nyuv2", "voc2012")
