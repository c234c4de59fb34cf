"""Names that modules of one's own register: known to every command that imports them, and to no other."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from command_runs import Command
from scene_files import ids, picture, write

import transkd
from transkd.data import datasets
from transkd.data.datasets import get_layout
from transkd.errors import ConfigError
from transkd.models import backbones, heads
from transkd.models.heads import HeadEntry, SegFormerHead, find_head

NAMES = """
from dataclasses import replace
import transkd
from transkd.data.datasets import get_layout
from transkd.models.backbones import BackboneEntry
from transkd.models.backbones.pyramid import pyramid_backbone
from transkd.models.heads import HeadEntry, SegFormerHead

transkd.register_backbone("ours", BackboneEntry(lambda rate: pyramid_backbone("mit_b0", rate)))
transkd.register_head("flat", HeadEntry(SegFormerHead, 16))
transkd.register_dataset(replace(get_layout("camvid"), name="drives", title="Drives"))
"""


@pytest.fixture
def our_names(tmp_path: Path) -> Iterator[str]:
    """Write a module that registers a backbone, a head and a dataset; forget them in the end."""
    (tmp_path / "our_names.py").write_text(NAMES)
    before = [(named, dict(named)) for named in (backbones._BACKBONES, heads._HEADS, datasets._LAYOUTS)]
    yield "imports=[our_names]"
    sys.modules.pop("our_names", None)
    for named, content in before:
        named.clear()
        named.update(content)


@pytest.fixture
def drives(tmp_path: Path) -> str:
    """Write two scenes in CamVid's layout."""
    for number, split in enumerate(("train", "val")):
        write(tmp_path / "drives" / split / "0.png", picture(number, (32, 64)))
        write(tmp_path / "drives" / f"{split}annot" / "0.png", ids(number, range(12), (32, 64)))
    return "data.root=drives"


def test_one_command_trains_and_the_next_ones_take_what_it_left(
    run: Command, our_names: str, drives: str, tiny: list[str]
) -> None:
    small = [argument for argument in tiny if not argument.startswith(("data.root=", "data.batch_size="))]
    names = ["data.name=drives", "student.backbone=ours", "student.head=flat"]
    trained = run(our_names, drives, *names, *small, "data.batch_size=1", "name=own")
    assert trained.code == 0, trained.err
    on_drives = ["data=camvid", "data.name=drives", drives]
    scored = run(our_names, *on_drives, "model=runs/own/model", "workers=0", name="transkd-eval")
    assert scored.code == 0, scored.err
    shown = run(our_names, "model=runs/own/model", "input=drives/val", "output=overlays", name="transkd-predict")
    assert shown.code == 0, shown.err
    checked = run(our_names, *on_drives, "action=check", "workers=0", "pictures=0", name="transkd-data")
    assert checked.code == 0, checked.err


def test_mistyped_names_are_reported_beside_imports(run: Command, our_names: str) -> None:
    assert "and your own once imported (imports=[MODULE])" in run("student.backbone=ours").refused()
    outcome = run(our_names, "student.backbone=our", "student.head=flatt", "data.name=drivers")
    outcome.refused()
    assert sorted(outcome.lines) == [
        "data.name: there is no dataset 'drivers'; did you mean 'drives'?",
        "student.backbone: there is no backbone 'our'; did you mean 'ours'? (any hierarchical timm model will do)",
        "student.head: there is no head 'flatt'; did you mean 'flat'?",
    ]


def test_names_are_registered_once(our_names: str) -> None:
    with pytest.raises(ConfigError, match="there is a head 'segformer' already; register yours under another name"):
        transkd.register_head("segformer", HeadEntry(SegFormerHead, 8))
    with pytest.raises(ConfigError, match="there is a dataset 'camvid' already; register yours under another name"):
        transkd.register_dataset(replace(get_layout("camvid"), title="Another"))
    assert find_head("segformer").width == 256
    assert get_layout("camvid").title == "CamVid"
    with pytest.raises(ConfigError, match="a dataset is registered as a Layout, not "):
        transkd.register_dataset(None)  # type: ignore[arg-type]
