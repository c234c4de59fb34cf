"""A custom folder: the layouts that people have, and each mistake once, by the words of its message."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from scene_files import ids, picture, scene, write

from transkd.cli.commands import config_folder
from transkd.data import SceneDataModule, build_dataset
from transkd.data.datasets import classes_of, find_scenes, find_splits
from transkd.data.datasets.folder import FolderOptions
from transkd.errors import ConfigError, DataError

Tree = Mapping[str, str | None]
FLAT: Tree = {f"images/s{i}.png + masks/s{i}.png": "" for i in range(4)}


def splits_as(image: str, mask: str, names: tuple[str, ...] = ("train", "val")) -> Tree:
    return {f"{image.format(split=name)} + {mask.format(split=name)}": "" for name in names}


def build(root: Path, tree: Tree) -> Path:
    """Write "IMAGE + MASK" as a scene and any other path as a text file; None removes the file."""
    for number, (path, text) in enumerate(tree.items()):
        image, _, mask = path.partition(" + ")
        if mask:
            scene(root / image, root / mask, number)
        elif text is None:
            (root / path).unlink()
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
    return root


def names(root: Path, split: str = "train", **options: object) -> list[str]:
    return [sample.name for sample in find_scenes("folder", root, split, **options).samples]


def all_names(root: Path, **options: object) -> list[str]:
    return sorted(names(root, **options) + names(root, "val", **options))


@pytest.fixture
def flat(root: Path) -> Path:
    return build(root, FLAT)


def test_images_masks_and_classes_are_enough(flat: Path) -> None:
    train, val = build_dataset("folder", flat, "train"), build_dataset("folder", flat, "val")
    assert (len(train), len(val), train.classes.names) == (3, 1, ("road", "car", "sky"))
    for dataset in (train, val):
        for i, sample in enumerate(dataset.samples):
            np.testing.assert_array_equal(dataset[i]["label"].numpy(), ids(int(sample.name[1:]), range(3)))
    assert all_names(flat) == ["s0", "s1", "s2", "s3"]


def test_options_in_the_config_have_the_defaults_of_the_code() -> None:
    config = OmegaConf.load(config_folder() / "data/folder.yaml")
    assert OmegaConf.to_container(config.options) == asdict(FolderOptions())


def test_the_drawn_split_is_the_same_everywhere(root: Path) -> None:
    """By the hash of seed and name, whatever order the file system has; empty files, since no picture is opened."""
    scenes = [f"scene_{i}" for i in range(10)]
    build(root, {f"{kind}/{name}.png": "" for name in scenes for kind in ("images", "masks")})
    ranked = sorted(scenes, key=lambda n: hashlib.sha256(f"0/{n}".encode()).digest())
    assert names(root, "val") == sorted(ranked[:2])
    assert names(root, "train") == sorted(ranked[2:])
    assert names(root, "val", val_fraction=0.5) == sorted(ranked[:5])
    assert names(root, "val", split_seed=1) != names(root, "val")
    assert len(names(root, "val", val_fraction=0.001)) == len(names(root, val_fraction=0.999)) == 1


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/{split}/a.jpg", "masks/{split}/a.png"),
        ("Images/{split}/a.bmp", "Labels/{split}/a.tif"),
        ("{split}/images/a.webp", "{split}/masks/a.png"),
        ("{split}/a.jpg", "{split}_masks/a.png"),
        ("img_dir/{split}/deep/er/a.jpg", "ann_dir/{split}/deep/er/a.png"),
    ],
)
@pytest.mark.parametrize("splits", [("train", "val", "holdout"), ("train2017", "val2017")])
def test_folders_of_splits(root: Path, image: str, mask: str, splits: tuple[str, ...]) -> None:
    build(root, splits_as(image, mask, splits))
    found = find_splits("folder", root)
    assert found == list(splits[: len(found)])
    assert len(found) >= 2
    for split in found:
        (sample,) = find_scenes("folder", root, split).samples
        assert (sample.name.rpartition("__")[2], f"/{split}" in str(sample.image)) == ("a", True)


@pytest.mark.parametrize(
    ("tree", "options", "expected"),
    [
        ({"in/a.png + out/a.png": "", "in/b.png + out/b.png": ""}, {"images": "in", "masks": "out"}, ["a", "b"]),
        (
            splits_as("set_{split}/rgb/{split}.png", "set_{split}/seg/{split}.png"),
            {"images": "set_{split}/rgb", "masks": "set_{split}/seg"},
            ["train", "val"],
        ),
        (
            {f"all/{name}_sat.jpg + all/{name}_mask.png": "" for name in "ab"},
            {"images": "all", "masks": "all", "mask_suffix": "_mask", "image_suffix": "_sat"},
            ["a", "b"],
        ),
        ({f"{name}.jpg + {name}.png": "" for name in "ab"}, {"images": ".", "masks": "."}, ["a", "b"]),
        (
            splits_as("{split}/a{split}.jpg", "{split}/a{split}_L.png"),
            {"images": "{split}", "masks": "{split}", "mask_suffix": "_L"},
            ["atrain", "aval"],
        ),
        (
            splits_as("images/a/{split}/0.png", "masks/a/{split}/0.png"),
            {"splits": "fraction"},
            ["a__train__0", "a__val__0"],
        ),
        (
            splits_as("images/a/{split}/0.png", "masks/a/{split}/0.png"),
            {"images": "images/a/{split}", "masks": "masks/a/{split}"},
            ["0", "0"],
        ),
        (
            splits_as("JPEGImages/{split}_a.jpg", "SegmentationClass/{split}_a.png")
            | {f"ImageSets/Segmentation/{split}.txt": f"{split}_a\n" for split in ("train", "val")},
            {},
            ["train_a", "val_a"],
        ),
        (FLAT | {"train_list.txt": "s0\n"}, {"splits": "fraction"}, ["s0", "s1", "s2", "s3"]),
        (
            FLAT | splits_as("images/{split}/{split}.png", "masks/{split}/{split}.png"),
            {"splits": "folders"},
            ["train", "val"],
        ),
    ],
)
def test_layouts_with_options(root: Path, tree: Tree, options: dict[str, object], expected: list[str]) -> None:
    assert all_names(build(root, tree), **options) == expected


def test_masks_of_colours_train_like_any_other(root: Path) -> None:
    (root / "classes.yaml").write_text("road: [128, 64, 128]\ncar: [0, 0, 142]\nignore: [[0, 0, 0]]\n")
    table = np.array([(128, 64, 128), (0, 0, 142), (0, 0, 0)], np.uint8)
    for i in range(5):
        write(root / f"images/{i}.png", picture(i))
        write(root / f"masks/{i}.png", table[ids(i, range(3))])
    dataset = build_dataset("folder", root, "train")
    for i, sample in enumerate(dataset.samples):
        expected = ids(int(sample.name), range(3))
        np.testing.assert_array_equal(dataset[i]["label"].numpy(), np.where(expected == 2, 255, expected))


def test_classes_depend_on_root_and_options(flat: Path) -> None:
    assert classes_of("folder", flat).names == ("road", "car", "sky")
    assert classes_of("folder", flat / "nowhere", classes=["x", "y", "z"]).names == ("x", "y", "z")
    with pytest.raises(DataError, match="nowhere does not exist"):
        classes_of("folder", flat / "nowhere")


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffs0\r\n# a comment\n\n",
        "../own/images/s0.png\n",
        "/images/s0.png /masks/s0.png\n",
        'image,weather\n"images/s0.png","fog, thick"\n',
        "weather,mask_path,Image_Path\nfog,s0.png,s0.png\n",
        ",image,mask\n0,s0,images/../masks/s0.png\n",
    ],
)
def test_entries_of_lists(flat: Path, text: str) -> None:
    build(flat, {"train.txt": text, "splits/val.txt": "../images/s1.png ../masks/s2.png\n"})
    (train,), (val,) = (find_scenes("folder", flat, split).samples for split in ("train", "val"))
    assert (train.image, train.label) == (flat / "images/s0.png", flat / "masks/s0.png")
    assert (val.image, val.label) == (flat / "images/s1.png", flat / "masks/s2.png")


def test_lists_keep_their_order_and_name_files_anywhere(root: Path) -> None:
    build(root, {"day 1/front cam.png + segs/one.png": "", "../beside.png + segs/two.png": ""})
    (root / "train.tsv").write_text(f"day 1/front cam.png\tsegs/one.png\n{root.parent / 'beside.png'}\tsegs/two.png\n")
    assert [s.label.name for s in find_scenes("folder", root, "train").samples] == ["one.png", "two.png"]
    assert SceneDataModule("folder", root, size=32, val_split="train").fingerprint("val")["count"] == 2
    build(root, FLAT | {"images/a,b.png + masks/a,b.png": "", "images/x/t.png + masks/x/t.png": ""})
    (root / "train.tsv").write_text("s3\na,b\nx/t\nimages/s0\n")
    assert names(root) == ["s3", "a,b", "x__t", "s0"]


def test_lists_with_columns_to_group_by(flat: Path) -> None:
    build(flat, {"train.csv": 'image,mask,weather,group\ns0,s1,"fog, thick",north\ns2,,snow,south\n'})
    train = find_scenes("folder", flat, "train")
    assert [(sample.group, sample.label.stem) for sample in train.samples] == [("north", "s1"), ("south", "s2")]
    assert [s.group for s in find_scenes("folder", flat, "train", group="weather").samples] == ["fog, thick", "snow"]


def test_images_of_both_splits_are_warned_of_before_training(flat: Path) -> None:
    build(flat, {"train.txt": "s0\ns1\n", "val.txt": "s1\n"})
    module = SceneDataModule("folder", flat, size=16, augment="none", batch_size=1, workers=0)
    with pytest.warns(UserWarning, match=r"1 images are in both splits .*s1\.png"):
        module.setup("fit")


def test_links_end_and_repeat_no_scene(root: Path) -> None:
    for kind in ("images", "masks"):
        for name, other in (("a", "b"), ("b", "a")):
            write(root / kind / name / f"{name}.png", ids(0, range(3)))
            (root / kind / name / "other").symlink_to(root / kind / other)
        (root / kind / "again").symlink_to(root / kind / "a")
        (root / kind / "loop").symlink_to(root / kind)
        write(root.parent / kind / "c.png", ids(1, range(3)))
        (root / kind / "elsewhere").symlink_to(root.parent / kind)
    (root / "itself").symlink_to(root / "itself")
    assert all_names(root) == ["a__a", "b__b", "elsewhere__c"]


def test_what_archives_servers_and_editors_leave_does_not_matter(flat: Path) -> None:
    for name in ("__MACOSX/a.png", "@eaDir/s0.png/thumb.jpg", "._s0.png", ".ipynb_checkpoints/s0.png"):
        write(flat / "images" / name, picture(9))
    build(flat, dict.fromkeys(("README.txt", "meta.csv", "requirements.txt", "notes.json"), "a, b\n"))
    (flat / "labels").mkdir()
    assert all_names(flat) == ["s0", "s1", "s2", "s3"]


SPLITS = splits_as("images/{split}/{split}.png", "masks/{split}/{split}.png")
SUFFIXED = {f"images/s{i}.png + masks/s{i}_mask.png": "" for i in range(3)}


@pytest.mark.parametrize(
    ("tree", "options", "words"),
    [
        # Where images and masks are
        ({"in/a.png + out/a.png": ""}, {}, "recognised as images and masks. It holds in/, out/, 1 .yaml"),
        (FLAT, {"images": "inn", "masks": "masks"}, "data.options.images=inn: there is no folder"),
        ({"all/a.png + all/a_m.png": ""}, {"images": "all", "masks": "all"}, "masks: set data.options.mask_suffix"),
        (FLAT | {"images/x.png + labels/x.png": ""}, {}, "labels/ and masks/ may both hold the masks: choose with"),
        (
            FLAT | {"train/images/a.png + train/masks/a.png": ""},
            {},
            "may hold the scenes (images/ with masks/; train/im",
        ),
        ({"images/a.npy": "", "images/b.npy": "", "images/c.txt": "", "masks/a.npy": ""}, {}, "holds 2 .npy, 1 .txt"),
        ({"images/a.png + masks/a.png": ""}, {}, "a validation split cannot be drawn from 1 scenes"),
        (FLAT | {"classes.yaml": None}, {}, "holds no classes.yaml"),
        # Names
        (FLAT | {"masks/s3.png": None, "images/s1.png": None}, {}, "1 images without labels (s3) and 1 labels wit"),
        (SUFFIXED, {}, "They match with data.options.mask_suffix=_mask"),
        (SUFFIXED | {"images/t.png + masks/mask_of_t.png": ""}, {}, "lists can name both: train.txt and val.txt"),
        ({"images/IMG_1.JPG + masks/img_1.png": ""}, {}, "1 of them differ in letter case only"),
        (FLAT | {"images/s1.jpg + masks/s1.png": ""}, {}, "two images have the same name but for letter case, suffix"),
        (FLAT | {"images/s1.png + masks/S1.png": ""}, {}, "two masks have the same name"),
        (
            {f"images/{unicodedata.normalize(f, 'müll')}.png + masks/a.png": "" for f in ("NFC", "NFD")},
            {},
            "letter case, suffix or accents",
        ),
        (
            {f"images/{n}.png + masks/{n}.png": "" for n in ("a/b", "a__b", "c", "d")},
            {"val_fraction": 0.01, "split_seed": 3},
            "a__b.png would both be called a__b",
        ),
        # Splits
        (SPLITS, {"split": "test"}, "no split 'test'; the splits there are: train, val. Choose among them with data.t"),
        (FLAT | SPLITS, {}, "4 scenes (s0, s1, s2, ...) lie beside the folders train, val"),
        (SPLITS | {"train.txt": "val/val\n"}, {}, "has lists (train.txt) and folders (train, val)"),
        (SPLITS | {"train.txt": "val/val\n"}, {"split": "val", "splits": "lists"}, "the splits there are: train"),
        (
            splits_as("images/a/{split}/0.png", "masks/a/{split}/0.png"),
            {},
            "names of splits (train, val): to keep them",
        ),
        (FLAT | {"train_list.txt": "s0\n"}, {}, "train_list.txt looks like a list of a split, but is not read"),
        (FLAT | {"val.json": "[]"}, {}, "val.json looks like a list of a split"),
        # Lists
        (FLAT | {"train.txt": "\n\n# nothing\n"}, {}, "train.txt: the list is empty"),
        (FLAT | {"train.csv": "image,group\ns1,a\ns2\n"}, {}, "line 3: 1 columns (s2), but the heading names 2"),
        (FLAT | {"train.txt": "images/a b.png masks/a b.png\n"}, {}, "separated by a tab or a comma"),
        (FLAT | {"train.txt": "s1\ns2\ns1.png\n"}, {}, "lines 1 and 3 both name s1.png"),
        (FLAT | {"train.txt": "s1\ns77\ns78\n"}, {}, "train.txt: 2 names of no file (s77, s78), beside 1"),
        (FLAT | {"train.txt": "s1 masks/none.png\n"}, {}, "1 images without labels (s1 with masks/none.png)"),
        (
            splits_as("{split}/images/1.png", "{split}/masks/1.png") | {"train.txt": "1\n"},
            {"splits": "lists"},
            "may be ",
        ),
        (
            {"pics/a.png + segs/a.png": "", "train.txt": "a\n"},
            {},
            "Entries are names of images in folders that are rec",
        ),
    ],
)
def test_mistakes_in_files(root: Path, tree: Tree, options: dict[str, object], words: str) -> None:
    build(root, tree)
    with pytest.raises(DataError) as caught:
        find_scenes("folder", root, **{"split": "train"} | options)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_fraction": 2}, r"val_fraction: give a number below 1 \(it is 2\)"),
        ({"splits": "fold"}, "splits: there is no such choice; did you mean 'folders'"),
        ({"masks_hold": "colors"}, "masks_hold: there is no such choice; did you mean 'colours'"),
        ({"split_seed": "x"}, "split_seed: give a whole number"),
        ({"mask_sufix": "x"}, "mask_sufix: there is no such key; did you mean 'mask_suffix'"),
        ({"images": "images"}, "masks: name both folders"),
        ({"group": "whether"}, r"group: .*train\.csv has no column 'whether'; did you mean 'weather'"),
        ({"val_fraction": 0.5}, r"val_fraction: it has no effect, since the splits come from lists: .* \(it is 0\.5\)"),
        ({"group": "weather", "splits": "fraction"}, "group: it has no effect, since the splits come from fraction"),
    ],
)
def test_options_that_make_no_sense_or_do_not_apply(flat: Path, options: dict[str, object], message: str) -> None:
    build(flat, {"train.csv": "image,weather\ns0,fog\ns1,rain\n"})
    with pytest.raises(ConfigError, match=message):
        names(flat, **options)


@pytest.mark.parametrize(("image", "mask"), [("", "-labels"), ("_sat", "_gt"), (".rgb", "")])
def test_suffixes_are_hinted_at(root: Path, image: str, mask: str) -> None:
    build(root, {f"images/x_{i}{image}.jpg + masks/x_{i}{mask}.png": "" for i in range(4)})
    with pytest.raises(DataError) as caught:
        names(root)
    hints = [f"data.options.{key}_suffix={text}" for key, text in (("image", image), ("mask", mask)) if text]
    assert f"They match with {' '.join(hints)}" in str(caught.value)
    assert len(names(root, image_suffix=image, mask_suffix=mask)) == 3


def test_a_root_one_folder_off_is_hinted_at(flat: Path) -> None:
    for wrong in (flat / "images", flat.parent):
        (wrong / "classes.yaml").write_text("- a\n")
        with pytest.raises(DataError) as caught:
            names(wrong)
        assert f"Did you mean data.root={flat}?" in str(caught.value)


def test_what_the_file_system_refuses_is_named(flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def denied(folder: os.PathLike[str] | str) -> object:
        if str(folder).endswith("images"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(DataError, match=r"images: cannot be read \(Permission denied\)"):
        names(flat)
