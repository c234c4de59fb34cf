"""A folder in which documented commands find what they name: tiny datasets in the real layouts, pictures, runs."""

from __future__ import annotations

import shutil
import sys
from itertools import product
from pathlib import Path

import cv2
from doc_small import STUDENT, TEACHER

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))

from dataset_archives import encoded, voc_files
from scene_files import ids, picture, write

from transkd.data.datasets import classes_of
from transkd.data.synth import write_scenes
from transkd.models import create_segmenter

PICTURE = (48, 64)
DATASETS = ("camvid", "cityscapes", "acdc", "nyuv2", "voc2012", "folder")
PLACES = ("data/folder", "my_scenes", "PATH", "data/roads", "data/mine")
"""Where pages keep a custom dataset."""
SEGMENTERS = ("runs/NAME/student", "runs/TEACHER/model", "RUN/model", "RUN/student", "runs/swin/model")
"""What pages call trained segmenters, here of CamVid's classes; besides ``runs/DATASET_teacher-s0/model`` and such."""


def build(root: Path) -> Path:
    """Fill a folder; return it."""
    _camvid(root / "data/camvid")
    _cityscapes(root / "data/cityscapes")
    shutil.copytree(root / "data/cityscapes", root / "data/synthetic")
    _acdc(root / "data/acdc")
    _nyuv2(root / "data/nyuv2")
    _voc2012(root / "data/voc2012")
    for place in PLACES:
        _folder(root / place)
    for number in range(2):
        write(root / f"photos/{number}.jpg", picture(number, PICTURE))
    _video(root / "drive.mp4")
    _segmenters(root)
    return root


def _camvid(root: Path) -> None:
    for number in range(6):
        split = ("train", "val", "test")[number % 3]
        write(root / split / f"{number}.png", picture(number, PICTURE))
        write(root / f"{split}annot" / f"{number}.png", ids(number, range(12), PICTURE))


def _cityscapes(root: Path) -> None:
    write_scenes(root, train=2, val=1, seed=0, size=(64, 128), workers=0, colour=False)
    write(root / "leftImg8bit/test/berlin/berlin_000000_000019_leftImg8bit.png", picture(0, (64, 128)))


def _acdc(root: Path) -> None:
    for number, (condition, split) in enumerate(product(("fog", "night", "rain", "snow"), ("train", "val", "test"))):
        name = f"{condition}/{split}/GOPR0475/GOPR0475_frame_{number:06}"
        write(root / f"rgb_anon/{name}_rgb_anon.png", picture(number, PICTURE))
        if split != "test":
            write(root / f"gt/{name}_gt_labelTrainIds.png", ids(number, range(19), PICTURE))


def _nyuv2(root: Path) -> None:
    for split, numbers in (("train", (1, 2)), ("test", (3,))):
        for number in numbers:
            write(root / f"images/{number:04}.png", picture(number, PICTURE))
            write(root / f"labels40/{number:04}.png", ids(number, range(41), PICTURE))
        (root / f"{split}.txt").write_text("".join(f"{number:04}\n" for number in numbers))


def _voc2012(root: Path) -> None:
    inside = "VOCdevkit/VOC2012"
    files = {
        **voc_files(),
        f"{inside}/SegmentationClassAug/2007_000032.png": encoded(ids(0, range(21))),
        f"{inside}/SegmentationClassAug/2007_000039.png": encoded(ids(1, range(21))),
        f"{inside}/ImageSets/Segmentation/trainaug.txt": b"2007_000032\n2007_000039\n",
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def _folder(root: Path) -> None:
    for number in range(5):
        write(root / f"images/{number}.jpg", picture(number, PICTURE))
        write(root / f"masks/{number}.png", ids(number, range(3), PICTURE))
    (root / "classes.yaml").write_text("- road\n- car\n- sky\n")


def _video(path: Path) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, PICTURE[::-1])
    for number in range(3):
        writer.write(picture(number, PICTURE))
    writer.release()
    assert path.stat().st_size > 0


def _segmenters(root: Path) -> None:
    for name in DATASETS:
        names = classes_of(name, root / "data" / name).names
        for run, backbone in (
            ("teacher-s0/model", TEACHER),
            ("mitb0-none-s0/model", STUDENT),
            ("mitb0-transkd_ea-s0/student", STUDENT),
        ):
            create_segmenter(backbone, len(names), class_names=names).save_pretrained(root / f"runs/{name}_{run}")
    for place in SEGMENTERS:
        source = "camvid_teacher-s0/model" if place.endswith("model") else "camvid_mitb0-transkd_ea-s0/student"
        shutil.copytree(root / "runs" / source, root / place)
