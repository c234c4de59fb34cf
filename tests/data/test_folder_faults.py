"""Folders of one's own with faults: each works, or ends in a message that names the file and what to do."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from scene_files import ids, picture, scene, write

from transkd.data import SceneDataModule
from transkd.data.datasets import classes_of, find_incomplete_scenes, find_scenes, find_splits
from transkd.errors import ConfigError, DataError


@pytest.fixture
def flat(root: Path) -> Path:
    for i in range(4):
        scene(root / f"images/s{i}.png", root / f"masks/s{i}.png", i)
    return root


def refusal(root: Path, split: str = "train", **options: object) -> str:
    with pytest.raises(DataError) as caught:
        find_scenes("folder", root, split, **options)
    return str(caught.value)


def all_names(root: Path, **options: object) -> list[str]:
    scenes = [find_scenes("folder", root, split, **options) for split in ("train", "val")]
    return sorted(sample.name for found in scenes for sample in found.samples)


# What lies about in folders


def test_links_in_a_circle_end(flat: Path) -> None:
    (flat / "images/loop").symlink_to(flat / "images")
    (flat / "masks/up").symlink_to(flat)
    (flat / "itself").symlink_to(flat / "itself")
    assert all_names(flat) == ["s0", "s1", "s2", "s3"]
    (flat / "images/s0.png").unlink()
    (flat / "images/s0.png").symlink_to(flat / "images/s0.png")
    with pytest.raises(DataError, match=r"s0\.png: cannot read this image"):
        SceneDataModule("folder", flat, size=16, augment="none").setup("fit")


def test_links_between_folders_repeat_no_scene(root: Path) -> None:
    for kind in ("images", "masks"):
        for name, other in (("a", "b"), ("b", "a")):
            write(root / kind / name / f"{name}.png", ids(0, range(3)))
            (root / kind / name / "other").symlink_to(root / kind / other)
        (root / kind / "again").symlink_to(root / kind / "a")
        write(root.parent / kind / "c.png", ids(1, range(3)))
        (root / kind / "elsewhere").symlink_to(root.parent / kind)
    assert all_names(root) == ["a__a", "b__b", "elsewhere__c"]


def test_what_archives_and_servers_leave_is_no_scene(flat: Path) -> None:
    for name in ("__MACOSX/a.png", "@eaDir/s0.png/thumb.jpg", "._s0.png", ".ipynb_checkpoints/s0.png"):
        write(flat / "images" / name, picture(9))
    assert all_names(flat) == ["s0", "s1", "s2", "s3"]


def test_names_that_differ_in_the_bytes_of_accents_are_twins(flat: Path) -> None:
    for form in ("NFC", "NFD"):
        write(flat / f"images/{unicodedata.normalize(form, 'müll')}.png", picture(9))
    assert "1 pairs of images have the same name but for letter case, suffix or accents" in refusal(flat)


def test_names_that_are_no_text(flat: Path) -> None:
    try:
        write(Path(os.fsdecode(os.fsencode(flat / "images") + b"/\xff.png")), picture(9))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert r"the name b'\xff.png' is not in UTF-8; rename it" in refusal(flat)


def test_two_scenes_of_one_name_for_files(flat: Path) -> None:
    for name in ("a/b", "a__b"):
        scene(flat / f"images/{name}.png", flat / f"masks/{name}.png")
    assert "a/b.png and " in (message := refusal(flat, val_fraction=0.01, split_seed=3))
    assert "a__b.png would both be called a__b" in message


def test_what_the_file_system_refuses_is_told(flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = os.scandir

    def denied(folder: os.PathLike[str] | str) -> object:
        if str(folder).endswith("masks"):
            raise PermissionError(13, "Permission denied", str(folder))
        return plain(folder)

    monkeypatch.setattr(os, "scandir", denied)
    for call in (lambda: find_scenes("folder", flat, "train"), lambda: find_splits("folder", flat)):
        with pytest.raises(DataError, match=r"masks: cannot be read \(Permission denied\)"):
            call()


def test_a_root_that_is_not_there_is_told_before_its_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere does not exist"):
        classes_of("folder", tmp_path / "nowhere")


# Splits that people have and nobody may overlook


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/{split}2017/{name}.jpg", "annotations/{split}2017/{name}.png"),
        ("{split}2017/{name}.jpg", "{split}2017_masks/{name}.png"),
        ("{split}2017/images/{name}.jpg", "{split}2017/masks/{name}.png"),
        ("img_dir/{split}2017/{name}.jpg", "ann_dir/{split}2017/{name}.png"),
        ("images/{split}2017/{name}.jpg", "ground_truth/{split}2017/{name}.png"),
    ],
)
def test_folders_that_are_called_like_splits_are_splits(root: Path, image: str, mask: str) -> None:
    for split in ("train", "val"):
        name = f"{split}0"
        scene(root / image.format(split=split, name=name), root / mask.format(split=split, name=name))
    assert find_splits("folder", root) == ["train2017", "val2017"]
    (sample,) = find_scenes("folder", root, "val2017").samples
    assert sample.name == "val0"
    assert "no split 'train'; the splits there are: train2017, val2017" in (message := refusal(root))
    assert "data.train_split=NAME data.val_split=NAME" in message


def test_further_folders_beside_those_of_splits_are_splits_too(root: Path) -> None:
    for split in ("train", "val", "holdout"):
        scene(root / f"images/{split}/{split}.png", root / f"masks/{split}/{split}.png")
    assert find_splits("folder", root) == ["train", "val", "holdout"]


def test_splits_deeper_down_are_not_mixed(root: Path) -> None:
    for split in ("train", "val"):
        for i in range(2):
            scene(root / f"images/a/{split}/{i}.png", root / f"masks/a/{split}/{i}.png")
    assert "called like splits (train, val)" in (message := refusal(root))
    assert 'data.options.images="IMAGES/a/{split}"' in message
    assert len(all_names(root, splits="fraction")) == 4
    (one, two) = find_scenes("folder", root, "val", images="images/a/{split}", masks="masks/a/{split}").samples
    assert (one.name, two.name) == ("0", "1")


def test_scenes_beside_the_folders_of_splits_are_told(flat: Path) -> None:
    for split in ("train", "val"):
        scene(flat / f"images/{split}/{split}.png", flat / f"masks/{split}/{split}.png")
    assert "4 scenes (s0, s1, s2, ...) lie beside the folders train, val" in refusal(flat)
    assert all_names(flat, splits="folders") == ["train", "val"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("train_list.txt", "s0\n"),
        ("train.lst", "s0\n"),
        ("val.json", "[]"),
        ("splits.csv", "image,split\ns0,train\n"),
        ("data.csv", "image;mask;Split\ns0;s0;train\n"),
    ],
)
def test_lists_that_are_not_read_are_told(flat: Path, name: str, text: str) -> None:
    (flat / name).write_text(text)
    assert f"{name} looks like a list of a split, but is not read" in refusal(flat)
    assert all_names(flat, splits="fraction") == ["s0", "s1", "s2", "s3"]


def test_other_files_beside_the_folders_do_not_matter(flat: Path) -> None:
    for name in ("README.txt", "meta.csv", "requirements.txt", "notes.json"):
        (flat / name).write_text("a, b\n")
    assert all_names(flat) == ["s0", "s1", "s2", "s3"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_fraction": 0.5}, r"val_fraction: the splits come from lists, nothing is drawn: .* \(it is 0\.5\)"),
        ({"split_seed": 3}, r"split_seed: the splits come from lists, nothing is drawn: .* \(it is 3\)"),
        ({"group": "weather", "splits": "fraction"}, r"group: the splits come from a fraction, but only lists have"),
    ],
)
def test_options_that_do_not_matter_are_refused(flat: Path, options: dict[str, object], message: str) -> None:
    for split, text in (("train", "s0\ns1\n"), ("val", "s2\n")):
        (flat / f"{split}.csv").write_text(text)
    assert all_names(flat, val_fraction=0.5, split_seed=3, splits="fraction") == ["s0", "s1", "s2", "s3"]
    with pytest.raises(ConfigError, match=rf"data\.options\.{message}"):
        find_scenes("folder", flat, "train", **options)


def test_images_of_both_splits_are_warned_of_before_training(flat: Path) -> None:
    (flat / "train.txt").write_text("s0\ns1\n")
    (flat / "val.txt").write_text("s1\n")
    module = SceneDataModule("folder", flat, size=16, augment="none", batch_size=1, workers=0)
    with pytest.warns(UserWarning, match=r"1 images are in both splits .*s1\.png"):
        module.setup("fit")


# Where images and masks lie


def test_voc_folders_with_lists(root: Path) -> None:
    for split in ("train", "val"):
        scene(root / f"JPEGImages/{split}_a.jpg", root / f"SegmentationClass/{split}_a.png")
        (root / "ImageSets/Segmentation").mkdir(parents=True, exist_ok=True)
        (root / f"ImageSets/Segmentation/{split}.txt").write_text(f"{split}_a\n")
    assert all_names(root) == ["train_a", "val_a"]


def test_one_folder_of_both_says_which_options_read_it(root: Path) -> None:
    for name in ("a", "b", "c"):
        scene(root / f"{name}.jpg", root / f"{name}_mask.png")
    assert "data.options.images=. data.options.masks=. data.options.mask_suffix=_mask" in refusal(root)
    assert all_names(root, images=".", masks=".", mask_suffix="_mask") == ["a", "b", "c"]
    for name in ("a", "b", "c"):
        (root / f"{name}_mask.png").rename(root / f"{name}.png")
    assert "data.options.images=. data.options.masks=. A folder" in refusal(root)
    assert all_names(root, images=".", masks=".") == ["a", "b", "c"]


def test_one_folder_of_both_for_each_split(root: Path) -> None:
    for split in ("train", "val"):
        scene(root / f"{split}/a{split}.jpg", root / f"{split}/a{split}_L.png")
    wanted = "'data.options.images=\"{split}\"' 'data.options.masks=\"{split}\"' data.options.mask_suffix=_L"
    assert wanted in refusal(root)
    options = {"images": "{split}", "masks": "{split}", "mask_suffix": "_L"}
    assert all_names(root, **options) == ["atrain", "aval"]


def test_a_root_one_folder_off_is_hinted_at(flat: Path) -> None:
    (flat / "images/classes.yaml").write_text("- a\n")
    assert f"Did you mean data.root={flat}?" in refusal(flat / "images")
    (flat.parent / "classes.yaml").write_text("- a\n")
    assert f"Did you mean data.root={flat}?" in refusal(flat.parent)


def test_hints_for_what_does_not_match(flat: Path) -> None:
    (flat / "images/s0.png").rename(flat / "images/s0.heic")
    assert "1 labels without images (s0)" in (message := refusal(flat))
    assert "images holds files that are no pictures by their names: 1 of .heic" in message
    (flat / "images/s0.heic").rename(flat / "images/s0.png")
    (flat / "masks/deep").mkdir()
    (flat / "masks/s0.png").rename(flat / "masks/deep/s0.png")
    assert "the same name in other folders (s0 and deep/s0)" in refusal(flat)
    (flat / "masks/deep/s0.png").rename(flat / "masks/mask_of_s0.png")
    assert "lists can name both: train.txt and val.txt" in refusal(flat)


def test_too_few_pairs_for_a_split_tell_why(flat: Path) -> None:
    for i in range(1, 4):
        (flat / f"masks/s{i}.png").rename(flat / f"masks/s{i}_mask.png")
    assert "They match with data.options.mask_suffix=_mask" in refusal(flat)
    assert not find_incomplete_scenes("folder", flat, "train").samples


# Lists


@pytest.mark.parametrize(
    "text",
    [
        "../own/images/s0.png\n",
        "/images/s0.png /masks/s0.png\n",
        'image,weather\n"images/s0.png","fog, thick"\n',
        "weather,mask_path,Image_Path\nfog,s0.png,s0.png\n",
        ",image,mask\n0,s0,s0\n",
    ],
)
def test_entries_of_lists(flat: Path, text: str) -> None:
    (flat / "train.txt").write_text(text)
    (flat / "splits").mkdir()
    (flat / "splits/val.txt").write_text("../images/s1.png ../masks/s1.png\n")
    (train,), (val,) = (find_scenes("folder", flat, split).samples for split in ("train", "val"))
    assert (train.image, train.label) == (flat / "images/s0.png", flat / "masks/s0.png")
    assert (val.image, val.label) == (flat / "images/s1.png", flat / "masks/s1.png")


def test_a_group_with_a_comma(flat: Path) -> None:
    for split in ("train", "val"):
        (flat / f"{split}.csv").write_text('image,weather\ns0,"fog, thick"\n')
    (sample,) = find_scenes("folder", flat, "train", group="weather").samples
    assert sample.group == "fog, thick"


def test_names_with_commas(flat: Path) -> None:
    scene(flat / "images/a,b.png", flat / "masks/a,b.png")
    (flat / "train.txt").write_text("a,b\ns0\n")
    assert [sample.name for sample in find_scenes("folder", flat, "train").samples] == ["a,b", "s0"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,mask\n", "train.csv: the list is empty"),
        ("image,mask\n,s0\n", "line 2: the column of the image is empty"),
        ("image,mask,mask\ns0,s0,s1\n", "the heading names a column more than once (mask)"),
        ("image,image_path\ns0,s0\n", "the heading names a column more than once (image and image_path)"),
        ("s0.jpg\ns1.jpg\n", "images/s0.png"),
        ("images/a b.png masks/a b.png\n", "kept apart by a tab or a comma"),
        ("a" * 200_000 + ",b\n", "1 names of no file"),
    ],
)
def test_lists_with_faults(flat: Path, text: str, message: str) -> None:
    (flat / "train.csv").write_text(text)
    assert message in refusal(flat)


def test_an_entry_that_may_be_several_files_names_its_line(flat: Path) -> None:
    for folder in ("x", "y"):
        scene(flat / f"images/{folder}/t.png", flat / f"masks/{folder}/t.png")
    (flat / "train.txt").write_text("s0\ns1 t\n")
    assert "train.txt, line 2: 't' may be " in refusal(flat)
    (flat / "train.txt").write_text("s0\nx/t\ns1.png y/t\n")
    assert [sample.name for sample in find_scenes("folder", flat, "train").samples] == ["s0", "x__t", "s1"]


def test_a_list_of_names_without_folders_says_what_is_missing(root: Path) -> None:
    scene(root / "pics/a.png", root / "segs/a.png")
    (root / "train.txt").write_text("a\n")
    assert "names alone need folders that are found by their names" in refusal(root)
    (root / "train.txt").write_text("pics/a.png segs/a.png\n")
    assert len(find_scenes("folder", root, "train").samples) == 1


# Classes


@pytest.mark.parametrize(
    "text",
    [
        "- {name: road, id: 4, color: [1, 2, 3]}\n- {name: car, id: 2, color: [4, 5, 6]}\n",
        "- name: road\n  id: 4\n  color: [1, 2, 3]\n- name: car\n  id: 2\n  colour: '#040506'\n",
        "names:\n  - {name: road, id: 4, color: [1, 2, 3]}\n  - car: {id: 2, color: [4, 5, 6]}\n",
    ],
)
def test_classes_as_entries_with_names(root: Path, text: str) -> None:
    (root / "classes.yaml").write_text(text)
    classes = classes_of("folder", root)
    assert (classes.names, classes.palette) == (("road", "car"), ((1, 2, 3), (4, 5, 6)))
    for i in range(2):
        scene(root / f"images/{i}.png", root / f"masks/{i}.png")
        write(root / f"masks/{i}.png", np.full((24, 32), 2, np.uint8))
    scenes = find_scenes("folder", root, "train")
    assert set(scenes.read_label(scenes.samples[0].label).ravel().tolist()) == {1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("road: #804080\ncar: #00008e\n", "YAML reads what follows # as a comment; write colours in quotes"),
        ("- road\n- car\n- ignore\n", "'ignore' would be a class that is learned"),
        ("road: 0\ncar: 1\nignore_index: 255\n", "'ignore_index' would be a class that is learned"),
        ("road: [1, 2, 3]\nignore: [9, 8, 7]\n", r"are three ids; the colour is written [[9, 8, 7]]"),
        ('- "ro\\nad"\n- car\n', "is no name of a class"),
    ],
)
def test_class_files_that_say_something_else_than_meant(root: Path, text: str, message: str) -> None:
    (root / "classes.yaml").write_text(text)
    with pytest.raises(DataError) as caught:
        classes_of("folder", root)
    assert message in str(caught.value)
    if text.startswith("- road"):
        with pytest.raises(ConfigError, match="would be a class that is learned"):
            classes_of("folder", root, classes=["road", "ignore"])


def test_a_comment_after_a_class_is_no_colour(root: Path) -> None:
    (root / "classes.yaml").write_text("road: [1, 2, 3]  # 804080\ncar: '#000001'  #ffffff\n")
    assert classes_of("folder", root).palette == ((1, 2, 3), (0, 0, 1))


def test_a_comment_below_a_key_is_no_colour(root: Path) -> None:
    (root / "classes.yaml").write_text("names:\n  #804080 is what others draw\n  - road\n  - car\n")
    assert classes_of("folder", root).names == ("road", "car")
