"""ACDC, adverse conditions with correspondences (Sakaridis et al., ICCV 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from transkd.data.classes import CITYSCAPES
from transkd.data.datasets.cityscapes import Names, find_parts, part_splits
from transkd.data.datasets.layout import Benchmark, Layout, Scenes

CONDITIONS = ("fog", "night", "rain", "snow")
Condition = Literal["all", "fog", "night", "rain", "snow"]
Conditions = Annotated[
    Condition | Annotated[Sequence[Condition], Field(min_length=1)],
    Field(title="all, or one or several of fog, night, rain and snow, as in [fog,night]"),
]
_NAMES = Names("rgb_anon", "gt", "_rgb_anon.png", "_gt_label")


def find_acdc(root: Path, split: str, *, conditions: Conditions = "all", labelled: bool = True) -> Scenes:
    """Find a split's scenes in some or all conditions; a sample's group is its condition.

    The reference folders (``train_ref``, ``val_ref``: the same streets in clear weather) are left out.
    """
    return find_parts(ACDC_LAYOUT, _NAMES, root, split, _chosen(conditions), labelled=labelled)


def acdc_splits(root: Path, *, conditions: Conditions = "all") -> set[str]:
    """Return the names of the labelled splits that all chosen conditions have."""
    return set.intersection(*(part_splits(ACDC_LAYOUT, _NAMES, root, part) for part in _chosen(conditions)))


def _chosen(conditions: str | Sequence[str]) -> list[str]:
    """Name the chosen conditions, each once, in the order of :data:`CONDITIONS`."""
    wanted = [conditions] if isinstance(conditions, str) else list(conditions)
    return [name for name in CONDITIONS if name in wanted or "all" in wanted]


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
        "(free registration) and unpack both into ROOT. Some of its conditions: data.options.conditions=[fog]"
    ),
    find=find_acdc,
    find_splits=acdc_splits,
    unlabelled=("test", "train_ref", "val_ref"),
    # The server takes train ids, and looks for the images' own names in labelTrainIds/ (docs/evaluation.md).
    benchmark=Benchmark(
        split="test",
        count=2000,
        size=(1080, 1920),
        ids=tuple(range(CITYSCAPES.num_classes)),
        folder="labelTrainIds",
        suffix="_rgb_anon.png",
    ),
)
