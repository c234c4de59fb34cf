"""Small datasets in the real folder layouts, made on the fly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scene_files import SIZE, ids, picture, voc_palette, write

from transkd.data import CITYSCAPES, Sample, SegmentationDataset
from transkd.data.datasets import Scenes
from transkd.data.labels import class_id_reader

CITYSCAPES_NAMES = {
    "train": ["aachen/aachen_000000_000019", "aachen/aachen_000001_000019", "bochum/bochum_000000_000313"],
    "val": ["frankfurt/frankfurt_000000_000294", "lindau/lindau_000000_000019"],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A custom folder that holds classes.yaml alone."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/classes.yaml").write_text("- road\n- car\n- sky\n")
    return tmp_path / "own"


@pytest.fixture
def cityscapes_root(tmp_path: Path) -> Path:
    """Raw labelIds only, as downloaded; all 34 ids and 255 appear in every label."""
    root = tmp_path / "cityscapes"
    for split, names in CITYSCAPES_NAMES.items():
        for i, name in enumerate(names):
            write(root / f"leftImg8bit/{split}/{name}_leftImg8bit.png", picture(i))
            label = ids(i, range(34))
            label[0], label[1, 0] = np.arange(32), 255
            label[2, :2] = 32, 33
            write(root / f"gtFine/{split}/{name}_gtFine_labelIds.png", label)
            write(root / f"gtFine/{split}/{name}_gtFine_color.png", picture(i))
    return root


@pytest.fixture
def acdc_root(tmp_path: Path) -> Path:
    root = tmp_path / "acdc"
    for c, condition in enumerate(("fog", "night", "rain", "snow")):
        for split in ("train", "val"):
            for frame in (41, 42):
                name = f"GOPR047{c}/GOPR047{c}_frame_{frame:06d}"
                write(root / f"rgb_anon/{condition}/{split}/{name}_rgb_anon.png", picture(c * 100 + frame))
                write(root / f"gt/{condition}/{split}/{name}_gt_labelTrainIds.png", ids(c * 100 + frame))
            write(root / f"rgb_anon/{condition}/{split}_ref/GOPR047{c}/GOPR_ref_000041_rgb_ref_anon.png", picture(c))
        write(root / f"rgb_anon/{condition}/test/GOPR0999/GOPR0999_frame_000001_rgb_anon.png", picture(c))
    return root


@pytest.fixture
def make_camvid(tmp_path: Path) -> Callable[..., Path]:
    def make(train: int = 7, val: int = 5, suffix: str = ".png", size: tuple[int, int] = SIZE) -> Path:
        root = tmp_path / "camvid"
        for split, count in (("train", train), ("val", val)):
            for i in range(count):
                name = f"0001TP_{6690 + 30 * i:06d}"
                write(root / split / f"{name}{suffix}", picture(i, size))
                write(root / f"{split}annot" / f"{name}.png", ids(i, range(12), size))
        return root

    return make


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., SegmentationDataset]:
    """A dataset of files given as (image, label) arrays."""

    def make(pairs: list[tuple[np.ndarray, np.ndarray]], transform=None, seed: int = 0) -> SegmentationDataset:
        samples = [
            Sample(write(tmp_path / f"image_{i:03d}.png", image), write(tmp_path / f"label_{i:03d}.png", label), f"{i}")
            for i, (image, label) in enumerate(pairs)
        ]
        return SegmentationDataset(Scenes(samples, CITYSCAPES, class_id_reader(CITYSCAPES)), transform, seed=seed)

    return make


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    """VOC2012: scenes a and c train, b validates, d is SBD's; palette files, and SBD's grey ones."""
    inside = tmp_path / "voc/VOCdevkit/VOC2012"
    for seed, name in enumerate("abcd"):
        label = ids(seed, range(21))
        label[:, 3:5] = 255
        write(inside / f"JPEGImages/{name}.jpg", picture(seed))
        write(inside / f"SegmentationClassAug/{name}.png", label)
        if name != "d":
            write(inside / f"SegmentationClass/{name}.png", label, voc_palette())
            write(inside / f"SegmentationObject/{name}.png", ids(seed, range(3)))
    lists = inside / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for split, names in {"train": "ac", "val": "b", "trainval": "acb", "test": "x", "trainaug": "acd"}.items():
        (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    return tmp_path / "voc"


@pytest.fixture
def nyu(tmp_path: Path) -> Path:
    for number in (1, 2, 5, 1449):
        write(tmp_path / f"nyu/images/{number:04d}.png", picture(number))
        write(tmp_path / f"nyu/labels40/{number:04d}.png", ids(number, range(41)))
    (tmp_path / "nyu/train.txt").write_text("0005\n0001\n")
    (tmp_path / "nyu/test.txt").write_text("0002\n1449\n")
    return tmp_path / "nyu"
