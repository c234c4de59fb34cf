"""Images that a benchmark's server scores: found without labels, and read as ignored pixels of their own size."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image
from scene_files import picture, write

from transkd.data import build_dataset
from transkd.data.datasets import find_unlabelled_images
from transkd.data.reading import image_size, read_image
from transkd.errors import ConfigError, DataError


def test_cityscapes_images_need_no_labels(cityscapes_root: Path) -> None:
    write(cityscapes_root / "leftImg8bit/test/berlin/berlin_000001_000019_leftImg8bit.png", picture(1, (40, 50)))
    write(cityscapes_root / "leftImg8bit/test/berlin/berlin_000000_000019_leftImg8bit.png", picture(0))
    shutil.rmtree(cityscapes_root / "gtFine")
    dataset = build_dataset("cityscapes", cityscapes_root, "test", labelled=False)
    assert [sample.name for sample in dataset.samples] == ["berlin_000000_000019", "berlin_000001_000019"]
    np.testing.assert_array_equal(dataset[1]["image"].permute(1, 2, 0).numpy(), picture(1, (40, 50)))
    assert dataset[1]["label"].shape == (40, 50)
    assert dataset[1]["label"].unique().tolist() == [255]


def test_acdc_images_by_condition(acdc_root: Path) -> None:
    scenes = find_unlabelled_images("acdc", acdc_root, "test", conditions=["snow", "fog"])
    assert [(sample.group, sample.name) for sample in scenes.samples] == [
        ("fog", "GOPR0999_frame_000001"),
        ("snow", "GOPR0999_frame_000001"),
    ]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_size_in_the_header_is_that_of_the_picture(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(picture(0, (20, 30))).save(tmp_path / "photo.jpg", exif=exif)
    assert image_size(tmp_path / "photo.jpg") == read_image(tmp_path / "photo.jpg").shape[:2]
    with pytest.raises(DataError, match=r"none.png: the image does not exist"):
        image_size(tmp_path / "none.png")


def test_what_is_missing_is_named(cityscapes_root: Path, acdc_root: Path) -> None:
    (cityscapes_root / "leftImg8bit/test").mkdir()
    shutil.rmtree(acdc_root / "rgb_anon/night/test")
    for name, root, split, message in (
        ("cityscapes", cityscapes_root, "test", r"leftImg8bit/test holds no images\. Cityscapes is expected as"),
        ("cityscapes", cityscapes_root, "tset", "no split 'tset'; the splits there are: test, train, val"),
        ("acdc", acdc_root, "test", r"rgb_anon/night: no split 'test'"),
    ):
        with pytest.raises(DataError, match=message):
            find_unlabelled_images(name, root, split)
    with pytest.raises(ConfigError, match="CamVid has no server that scores images without labels"):
        find_unlabelled_images("camvid", cityscapes_root, "val")
