"""A custom folder, in the layouts that people have."""

from __future__ import annotations

import hashlib
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from scene_files import ids, picture, scene, write

from transkd.data import SceneDataModule, build_dataset
from transkd.data.datasets import classes_of, find_incomplete_scenes, find_scenes, find_splits
from transkd.errors import ConfigError, DataError

CLASSES = "- road\n- car\n- sky\n"


@pytest.fixture
def flat(root: Path) -> Path:
    """Ten scenes in images/ and masks/."""
    for i in range(10):
        scene(root / f"images/scene_{i}.jpg", root / f"masks/scene_{i}.png", i)
    return root


def names(root: Path, split: str, **options: object) -> list[str]:
    return [sample.name for sample in find_scenes("folder", root, split, **options).samples]


def test_images_masks_and_classes_are_enough(flat: Path) -> None:
    train, val = build_dataset("folder", flat, "train"), build_dataset("folder", flat, "val")
    assert (len(train), len(val)) == (8, 2)
    assert train.classes.names == ("road", "car", "sky")
    for dataset in (train, val):
        for i, sample in enumerate(dataset.samples):
            number = int(sample.name.removeprefix("scene_"))
            np.testing.assert_array_equal(dataset[i]["label"].numpy(), ids(number, range(3)))
    together = {sample.name for dataset in (train, val) for sample in dataset.samples}
    assert together == {f"scene_{i}" for i in range(10)}


def test_the_drawn_split_is_the_same_everywhere(flat: Path) -> None:
    """By the hash of seed and name, whatever order the file system has: computed here from its definition."""
    ranked = sorted((f"scene_{i}" for i in range(10)), key=lambda n: hashlib.sha256(f"0/{n}".encode()).digest())
    assert names(flat, "val") == sorted(ranked[:2])
    assert names(flat, "train") == sorted(ranked[2:])
    assert names(flat, "val", val_fraction=0.5) == sorted(ranked[:5])
    assert names(flat, "val", split_seed=1) != names(flat, "val")
    assert len(names(flat, "val", val_fraction=0.001)) == 1
    assert len(names(flat, "train", val_fraction=0.999)) == 1


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/{split}/{name}.jpg", "masks/{split}/{name}.png"),
        ("Images/{split}/{name}.bmp", "Labels/{split}/{name}.png"),
        ("{split}/images/{name}.jpg", "{split}/masks/{name}.png"),
        ("{split}/{name}.jpg", "{split}_masks/{name}.png"),
        ("{split}_images/{name}.webp", "{split}_labels/{name}.tif"),
        ("images/{split}/deep/er/{name}.jpg", "masks/{split}/deep/er/{name}.png"),
    ],
)
def test_folders_of_splits(root: Path, image: str, mask: str) -> None:
    for split, count in (("train", 3), ("val", 2)):
        for i in range(count):
            scene(
                root / image.format(split=split, name=f"{split}{i}"),
                root / mask.format(split=split, name=f"{split}{i}"),
            )
    assert [name.rpartition("__")[2] for name in names(root, "train")] == ["train0", "train1", "train2"]
    assert [name.rpartition("__")[2] for name in names(root, "val")] == ["val0", "val1"]
    assert find_splits("folder", root) == ["train", "val"]
    with pytest.raises(DataError, match="no split 'test'; the splits there are: train, val"):
        names(root, "test")


def test_folders_that_are_named(root: Path) -> None:
    scene(root / "in/a.png", root / "out/a.png")
    scene(root / "in/b.png", root / "out/b.png")
    with pytest.raises(DataError, match=r"holds no images and masks that can be told apart\. It holds in/, out/, cl"):
        names(root, "train")
    assert len(names(root, "train", images="in", masks="out")) == 1
    with pytest.raises(DataError, match=r"data\.options\.images=inn: there is no folder"):
        names(root, "train", images="inn", masks="out")
    with pytest.raises(ConfigError, match=r"data\.options\.masks: name both folders"):
        names(root, "train", images="in")
    for split in ("fold1", "fold2"):
        scene(root / f"set_{split}/rgb/a.png", root / f"set_{split}/seg/a.png")
    named = {"images": "set_{split}/rgb", "masks": "set_{split}/seg"}
    assert names(root, "fold1", **named) == ["a"]
    assert find_splits("folder", root, **named) == ["fold1", "fold2"]


def test_one_folder_of_both_with_a_suffix(root: Path) -> None:
    for name in ("a", "b"):
        scene(root / f"all/{name}_sat.jpg", root / f"all/{name}_mask.png")
    where = {"images": "all", "masks": "all"}
    assert len(names(root, "train", **where, mask_suffix="_mask", image_suffix="_sat")) == 1
    with pytest.raises(DataError, match=r"image_suffix=_sat data\.options\.mask_suffix=_mask"):
        names(root, "train", **where)
    for name in ("a", "b"):
        (root / f"all/{name}_sat.jpg").rename(root / f"all/{name}_sat.png")
    with pytest.raises(DataError, match=r"both images and masks: set data\.options\.mask_suffix"):
        names(root, "train", **where)


def test_lists_of_names(flat: Path) -> None:
    (flat / "train.txt").write_text(
        "\ufeffscene_3\r\n# a comment\n\nimages/scene_1.jpg\nscene_2.jpg\n", encoding="utf-8"
    )
    (flat / "val.txt").write_text("scene_0 masks/scene_9.png\n")
    assert names(flat, "train") == ["scene_3", "scene_1", "scene_2"]
    assert find_splits("folder", flat) == ["train", "val"]
    (sample,) = find_scenes("folder", flat, "val").samples
    assert (sample.image.name, sample.label.name) == (
        "scene_0.jpg",
        "scene_9.png",
    )


def test_lists_with_columns_to_group_by(flat: Path) -> None:
    (flat / "train.csv").write_text("image,mask,weather,group\nscene_0,scene_1,rain,north\nscene_2,,snow,south\n")
    (flat / "val.csv").write_text("image,weather\nscene_4,fog\n")
    train = find_scenes("folder", flat, "train")
    assert [sample.group for sample in train.samples] == ["north", "south"]
    assert [sample.label.stem for sample in train.samples] == ["scene_1", "scene_2"]
    assert [s.group for s in find_scenes("folder", flat, "train", group="weather").samples] == ["rain", "snow"]
    assert [s.group for s in find_scenes("folder", flat, "val").samples] == [""]
    with pytest.raises(
        ConfigError, match=r"data\.options\.group: .*train\.csv has no column 'whether'; did you mean 'we"
    ):
        find_scenes("folder", flat, "train", group="whether")


def test_lists_of_files_anywhere(root: Path) -> None:
    scene(root / "day 1/front cam.png", root / "gt/one.png")
    scene(root.parent / "beside.png", root / "gt/two.png")
    (root / "train.tsv").write_text(f"day 1/front cam.png\tgt/one.png\n{root.parent / 'beside.png'}\tgt/two.png\n")
    assert [s.label.name for s in find_scenes("folder", root, "train").samples] == ["one.png", "two.png"]
    module = SceneDataModule("folder", root, size=32, val_split="train")
    assert module.fingerprint("val")["count"] == 2


def test_lists_that_are_wrong(flat: Path) -> None:
    def refused(text: str, **options: object) -> str:
        (flat / "train.txt").write_text(text)
        with pytest.raises(DataError) as caught:
            find_scenes("folder", flat, "train", **options)
        return str(caught.value)

    assert "train.txt: the list is empty" in refused("\n\n# nothing\n")
    assert "lines 1 and 3 both name scene_1.jpg" in refused("scene_1\nscene_2\nscene_1.jpg\n")
    assert "line 1: 3 columns (scene_1 scene_2 x)" in refused("scene_1 scene_2 x\n")
    assert "line 3: 1 columns, but the heading names 2 (image, group)" in refused("image,group\nscene_1,a\nscene_2\n")
    missing = refused("scene_1\nscene_77\nscene_78\n")
    assert "train.txt: 2 names of no file (scene_77, scene_78), beside 1" in missing
    assert "1 images without labels (scene_1 with masks/none.png)" in refused("scene_1 masks/none.png\n")
    (flat / "train.txt").write_bytes(b"\xff\xfe\x00s")
    with pytest.raises(DataError, match=r"train\.txt: not a text file in UTF-8"):
        find_scenes("folder", flat, "train")


def test_names_that_may_be_several_files(root: Path) -> None:
    for day in ("mon", "tue"):
        scene(root / f"images/{day}/1.png", root / f"masks/{day}/1.png")
    (root / "train.txt").write_text("1\n")
    with pytest.raises(DataError, match=r"'1' may be .*mon/1\.png or .*tue/1\.png: write the path"):
        names(root, "train")
    (root / "train.txt").write_text("mon/1\ntue/1.png\n")
    assert names(root, "train") == ["mon__1", "tue__1"]


def test_lists_and_folders_at_once_are_not_guessed(root: Path) -> None:
    for split in ("train", "val"):
        scene(root / f"images/{split}/{split}.png", root / f"masks/{split}/{split}.png")
    (root / "train.txt").write_text("val/val\n")
    with pytest.raises(
        DataError, match=r"has lists \(train\.txt\) and folders \(train, val\).*splits=lists or =folders"
    ):
        names(root, "train")
    assert names(root, "train", splits="lists") == ["val__val"]
    assert names(root, "train", splits="folders") == ["train"]
    assert len(names(root, "train", splits="fraction")) == 1
    with pytest.raises(DataError, match=r"no split 'val'; the splits there are: train"):
        names(root, "val", splits="lists")


def test_several_folders_that_could_be_meant(flat: Path) -> None:
    (flat / "labels").mkdir()
    assert len(names(flat, "train")) == 8
    write(flat / "labels/scene_0.png", ids(0, range(3)))
    with pytest.raises(DataError, match=r"labels/ and masks/ may both hold the masks: say which"):
        names(flat, "train")
    assert len(names(flat, "train", images="images", masks="masks")) == 8
    shutil.rmtree(flat / "labels")
    scene(flat / "train/images/a.png", flat / "train/masks/a.png")
    with pytest.raises(DataError, match=r"several folders may hold the scenes \(images/ with masks/; train/images/"):
        names(flat, "train")


def test_unmatched_files_are_counted_and_named(flat: Path) -> None:
    (flat / "masks/scene_3.png").unlink()
    (flat / "images/scene_5.jpg").unlink()
    with pytest.raises(DataError, match=r"1 images without labels \(scene_3\) and 1 labels without images \(scene_5\)"):
        names(flat, "train")
    scenes = find_incomplete_scenes("folder", flat, "train")
    assert [(place.images, place.labels) for place in scenes.unmatched] == [(("scene_3",), ("scene_5",))]


@pytest.mark.parametrize(("image", "mask"), [("", "_mask"), ("", "-labels"), ("_sat", "_gt"), (".rgb", "")])
def test_suffixes_are_hinted_at(root: Path, image: str, mask: str) -> None:
    for i in range(4):
        scene(root / f"images/x_{i}{image}.jpg", root / f"masks/x_{i}{mask}.png", i)
    with pytest.raises(DataError) as caught:
        names(root, "train")
    said = [f"data.options.{key}_suffix={text}" for key, text in (("image", image), ("mask", mask)) if text]
    assert f"They match with {' '.join(said)}" in str(caught.value)
    assert len(names(root, "train", image_suffix=image, mask_suffix=mask)) == 3


def test_letter_case_and_repeated_stems(root: Path) -> None:
    scene(root / "images/IMG_1.JPG", root / "masks/img_1.png")
    with pytest.raises(DataError, match="1 of them differ in letter case only"):
        names(root, "train")
    scene(root / "images/a.png", root / "masks/a.png")
    write(root / "images/a.jpg", picture(0))
    with pytest.raises(DataError, match=r"two images have the same name .*a\.jpg and a\.png"):
        names(root, "train")
    (root / "images/a.jpg").unlink()
    write(root / "masks/A.png", ids(0, range(3)))
    with pytest.raises(DataError, match=r"two masks have the same name .*A\.png and a\.png"):
        names(root, "train")


def test_folders_without_pictures(root: Path) -> None:
    (root / "images").mkdir()
    (root / "masks").mkdir()
    for name in ("a.npy", "b.npy", "c.txt"):
        (root / "images" / name).touch()
    with pytest.raises(DataError, match=r"images holds no images; the files there are: 2 \.npy, 1 \.txt"):
        names(root, "train")
    scene(root / "images/only.png", root / "masks/only.png")
    with pytest.raises(DataError, match="a validation split cannot be drawn from 1 scenes"):
        names(root, "train")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"val_fraction": 2}, r"val_fraction: give a number below 1 \(it is 2\)"),
        ({"splits": "fold"}, "splits: there is no such choice; did you mean 'folders'"),
        ({"masks_hold": "colors"}, "masks_hold: there is no such choice; did you mean 'colours'"),
        ({"split_seed": "x"}, "split_seed: give a whole number"),
        ({"mask_sufix": "x"}, "mask_sufix: there is no such key; did you mean 'mask_suffix'"),
    ],
)
def test_options_that_make_no_sense(flat: Path, option: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        names(flat, "train", **option)


def test_classes_depend_on_root_and_options(flat: Path) -> None:
    assert classes_of("folder", flat).names == ("road", "car", "sky")
    assert classes_of("folder", flat, classes=["x", "y", "z"]).names == ("x", "y", "z")
    assert SceneDataModule("folder", flat, dataset_options={"classes": ["a", "b", "c"]}).classes.names == (
        "a",
        "b",
        "c",
    )
    (flat / "classes.yaml").unlink()
    with pytest.raises(DataError, match=r"holds no classes\.yaml"):
        names(flat, "train")


def test_rgb_masks_train_like_any_other(root: Path) -> None:
    (root / "classes.yaml").write_text("road: [128, 64, 128]\ncar: [0, 0, 142]\nignore: [[0, 0, 0]]\n")
    table = np.array([(128, 64, 128), (0, 0, 142), (0, 0, 0)], np.uint8)
    for i in range(5):
        write(root / f"images/{i}.png", picture(i))
        write(root / f"masks/{i}.png", table[ids(i, range(3))])
    dataset = build_dataset("folder", root, "train")
    for i, sample in enumerate(dataset.samples):
        expected = ids(int(sample.name), range(3))
        np.testing.assert_array_equal(dataset[i]["label"].numpy(), np.where(expected == 2, 255, expected))


def test_start_up_is_linear_and_opens_no_picture(root: Path) -> None:
    """Empty files, which no reader would take."""

    def seconds(count: int) -> float:
        for kind, suffix in (("images", "jpg"), ("masks", "png")):
            (root / kind).mkdir(exist_ok=True)
            for i in range(count):
                (root / kind / f"frame_{i:06d}.{suffix}").touch()
        start = time.process_time()
        assert len(find_scenes("folder", root, "train").samples) == round(0.8 * count)
        return time.process_time() - start

    few = max(seconds(1000), 0.1)
    assert seconds(10_000) < 30 * few
