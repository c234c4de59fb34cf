"""ACDC, adverse conditions with correspondences (Sakaridis et al., ICCV 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from transkd.data.classes import CITYSCAPES
from transkd.data.datasets.cityscapes import find_labels, label_reader
from transkd.data.datasets.layout import (
    Benchmark,
    Layout,
    NoLabels,
    Scenes,
    files_by_key,
    pair,
    reject_unlabelled_split,
    require_folders,
    require_split,
    subfolders,
    unlabelled_samples,
)
from transkd.errors import DataError

CONDITIONS = ("fog", "night", "rain", "snow")
Condition = Literal["all", "fog", "night", "rain", "snow"]
Conditions = Annotated[
    Condition | Annotated[Sequence[Condition], Field(min_length=1)],
    Field(title="all, or one or several of fog, night, rain and snow, as in [fog,night]"),
]

_TEST = "test"
_UNLABELLED = {_TEST: "the benchmark's server keeps them."}
_IMAGE = "_rgb_anon.png"


def find_acdc(root: Path, split: str, *, conditions: Conditions = "all") -> Scenes:
    """Find a split's scenes in some or all conditions; a sample's group is its condition.

    The reference folders (``train_ref``, ``val_ref``: the same places in clear weather) are left out.

    Args:
        root: an existing folder.
        split: "train" or "val".
        conditions: "all", or one or several of "fog", "night", "rain", "snow".

    Returns:
        The scenes, condition by condition.

    Raises:
        DataError: if folders or the split are missing, it holds no files or is "test", or there is no such condition.
    """
    chosen = _chosen(conditions)
    require_folders(ACDC_LAYOUT, root, ("rgb_anon", "gt"))
    reject_unlabelled_split(ACDC_LAYOUT, split, _UNLABELLED)
    _require_conditions(root, chosen)
    for condition in chosen:
        require_split(ACDC_LAYOUT, root / "rgb_anon" / condition, split, _splits(root, condition))
    image_folders = [root / "rgb_anon" / condition / split for condition in chosen]
    label_folders = [root / "gt" / condition / split for condition in chosen]
    images = [files_by_key(folder, "*/*", (_IMAGE,)) for folder in image_folders]
    labels, raw = find_labels(label_folders, "_gt", set().union(*images))
    pairs = [
        pair(ACDC_LAYOUT, f"{image_folders[i]} and {label_folders[i]}", images[i], labels[i], group=condition)
        for i, condition in enumerate(chosen)
    ]
    return Scenes(
        [sample for samples, _ in pairs for sample in samples],
        CITYSCAPES,
        label_reader(raw=raw),
        tuple(place for _, unmatched in pairs for place in unmatched),
    )


def find_acdc_images(root: Path, split: str, *, conditions: Conditions = "all") -> Scenes:
    """Find a split's images in some or all conditions, for which there need be no labels.

    Args:
        root: an existing folder.
        split: a folder of each condition.
        conditions: as :func:`find_acdc` takes them.

    Returns:
        The scenes, condition by condition, all of whose pixels are ignored.

    Raises:
        DataError: if folders or the split are missing, it holds no images, or a condition is unknown.
    """
    chosen = _chosen(conditions)
    require_folders(ACDC_LAYOUT, root, ("rgb_anon",))
    _require_conditions(root, chosen)
    samples = []
    for condition in chosen:
        folder = root / "rgb_anon" / condition
        require_split(ACDC_LAYOUT, folder, split, subfolders(folder))
        images = files_by_key(folder / split, "*/*", (_IMAGE,))
        samples += unlabelled_samples(ACDC_LAYOUT, str(folder / split), images, group=condition)
    return Scenes(samples, CITYSCAPES, NoLabels(CITYSCAPES.ignore_index))


def acdc_splits(root: Path, *, conditions: Conditions = "all") -> set[str]:
    """Return the names of the labelled splits that all chosen conditions have."""
    require_folders(ACDC_LAYOUT, root, ("rgb_anon", "gt"))
    chosen = _chosen(conditions)
    _require_conditions(root, chosen)
    return set.intersection(*(_splits(root, condition) for condition in chosen))


def _splits(root: Path, condition: str) -> set[str]:
    names = subfolders(root / "rgb_anon" / condition)
    return {name for name in names if not name.endswith("_ref")} - {_TEST}


def _chosen(conditions: str | Sequence[str]) -> list[str]:
    """Name the chosen conditions, each once, in the order of :data:`CONDITIONS`."""
    wanted = [conditions] if isinstance(conditions, str) else list(conditions)
    return [name for name in CONDITIONS if name in wanted or "all" in wanted]


def _require_conditions(root: Path, chosen: Sequence[str]) -> None:
    present = subfolders(root / "rgb_anon")
    missing = [name for name in chosen if name not in present]
    if missing:
        there = ", ".join(name for name in CONDITIONS if name in present) or "none"
        raise DataError(
            f"{root / 'rgb_anon'}: no {', '.join(missing)}; the conditions there are: {there}. "
            f"Choose among those with data.options.conditions=[...], or unpack the rest. {ACDC_LAYOUT.explain()}"
        )


ACDC_LAYOUT = Layout(
    name="acdc",
    title="ACDC",
    classes=CITYSCAPES,
    splits=("train", "val"),
    tree=(
        "  ROOT/\n"
        "    rgb_anon/{fog,night,rain,snow}/{train,val}/SEQUENCE/*_rgb_anon.png\n"
        "    gt/{fog,night,rain,snow}/{train,val}/SEQUENCE/*_gt_labelTrainIds.png  (or *_gt_labelIds.png)"
    ),
    origin=(
        "Download rgb_anon_trainvaltest.zip and gt_trainval.zip from https://acdc.vision.ee.ethz.ch "
        "(free registration) and unpack both into ROOT."
    ),
    find=find_acdc,
    find_splits=acdc_splits,
    # The server takes train ids, and looks for the images' own names in labelTrainIds/ (docs/evaluation.md).
    benchmark=Benchmark(
        split=_TEST,
        count=2000,
        size=(1080, 1920),
        ids=tuple(range(CITYSCAPES.num_classes)),
        folder="labelTrainIds",
        suffix=_IMAGE,
        find_images=find_acdc_images,
    ),
)
