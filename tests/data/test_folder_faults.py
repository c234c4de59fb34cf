"""Custom folders with faults: each works, or ends in a message that names the file and what to do."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

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


def test_what_archives_servers_and_editors_leave_does_not_matter(flat: Path) -> None:
    for name in ("__MACOSX/a.png", "@eaDir/s0.png/thumb.jpg", "._s0.png", ".ipynb_checkpoints/s0.png"):
        write(flat / "images" / name, picture(9))
    for name in ("README.txt", "meta.csv", "requirements.txt", "notes.json"):
        (flat / name).write_text("a, b\n")
    assert all_names(flat) == ["s0", "s1", "s2", "s3"]


def test_names_that_differ_in_the_bytes_of_accents_are_twins(flat: Path) -> None:
    for form in ("NFC", "NFD"):
        write(flat / f"images/{unicodedata.normalize(form, 'müll')}.png", picture(9))
    assert "two images have the same name but for letter case, suffix or accents" in refusal(flat)


def test_two_scenes_of_one_name_for_files(flat: Path) -> None:
    for name in ("a/b", "a__b"):
        scene(flat / f"images/{name}.png", flat / f"masks/{name}.png")
    assert "a/b.png and " in (message := refusal(flat, val_fraction=0.01, split_seed=3))
    assert "a__b.png would both be called a__b" in message


def test_what_the_file_system_refuses_is_named(flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = os.scandir

    def denied(folder: os.PathLike[str] | str) -> object:
        if str(folder).endswith("images"):
            raise PermissionError(13, "Permission denied", str(folder))
        return plain(folder)

    monkeypatch.setattr(os, "scandir", denied)
    for call in (lambda: find_scenes("folder", flat, "train"), lambda: find_splits("folder", flat)):
        with pytest.raises(DataError, match=r"images: cannot be read \(Permission denied\)"):
            call()


def test_a_missing_root_is_reported_before_its_classes(tmp_path: Path) -> None:
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
    ],
)
def test_folders_with_the_names_of_splits_are_splits(root: Path, image: str, mask: str) -> None:
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
    assert "with the names of splits (train, val)" in (message := refusal(root))
    assert 'data.options.images="IMAGES/a/{split}"' in message
    assert len(all_names(root, splits="fraction")) == 4
    (one, two) = find_scenes("folder", root, "val", images="images/a/{split}", masks="masks/a/{split}").samples
    assert (one.name, two.name) == ("0", "1")


def test_scenes_beside_the_folders_of_splits_are_reported(flat: Path) -> None:
    for split in ("train", "val"):
        scene(flat / f"images/{split}/{split}.png", flat / f"masks/{split}/{split}.png")
    assert "4 scenes (s0, s1, s2, ...) lie beside the folders train, val" in refusal(flat)
    assert all_names(flat, splits="folders") == ["train", "val"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("train_list.txt", "s0\n"), ("val.json", "[]"), ("data.csv", "image;mask;Split\ns0;s0;train\n")],
)
def test_lists_that_are_not_read_are_reported(flat: Path, name: str, text: str) -> None:
    (flat / name).write_text(text)
    assert f"{name} looks like a list of a split, but is not read" in refusal(flat)
    assert all_names(flat, splits="fraction") == ["s0", "s1", "s2", "s3"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_fraction": 0.5}, r"val_fraction: the splits come from lists, nothing is drawn: .* \(it is 0\.5\)"),
        ({"group": "weather", "splits": "fraction"}, r"group: the splits come from a fraction, but only lists have"),
    ],
)
def test_options_that_do_not_apply_are_refused(flat: Path, options: dict[str, object], message: str) -> None:
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


@pytest.mark.parametrize("suffix", ["_mask", ""])
def test_one_folder_of_both(root: Path, suffix: str) -> None:
    for name in ("a", "b", "c"):
        scene(root / f"{name}.jpg", root / f"{name}{suffix}.png")
    assert "data.options.images=. data.options.masks=. data.options.mask_suffix=_mask" in refusal(root)
    assert all_names(root, images=".", masks=".", mask_suffix=suffix) == ["a", "b", "c"]


def test_one_folder_of_both_for_each_split(root: Path) -> None:
    for split in ("train", "val"):
        scene(root / f"{split}/a{split}.jpg", root / f"{split}/a{split}_L.png")
    options = {"images": "{split}", "masks": "{split}", "mask_suffix": "_L"}
    assert all_names(root, **options) == ["atrain", "aval"]


def test_a_root_one_folder_off_is_hinted_at(flat: Path) -> None:
    (flat / "images/classes.yaml").write_text("- a\n")
    assert f"Did you mean data.root={flat}?" in refusal(flat / "images")
    (flat.parent / "classes.yaml").write_text("- a\n")
    assert f"Did you mean data.root={flat}?" in refusal(flat.parent)


def test_too_few_pairs_for_a_split_give_the_reason(flat: Path) -> None:
    for i in range(1, 4):
        (flat / f"masks/s{i}.png").rename(flat / f"masks/s{i}_mask.png")
    assert "They match with data.options.mask_suffix=_mask" in refusal(flat)
    assert not find_incomplete_scenes("folder", flat, "train").samples
    (flat / "masks/s1_mask.png").rename(flat / "masks/mask_of_s1.png")
    assert "lists can name both: train.txt and val.txt" in refusal(flat)


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
        ("s0.jpg\ns1.jpg\n", "images/s0.png"),
        ("images/a b.png masks/a b.png\n", "separated by a tab or a comma"),
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
    assert "Entries are names of images in folders that are recognised (images/ and masks/)" in refusal(root)
    (root / "train.txt").write_text("pics/a.png segs/a.png\n")
    assert len(find_scenes("folder", root, "train").samples) == 1
