"""``transkd-eval`` on a model whose run trained at another size: the scores are others, and it says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from command_runs import Command

NOTE = "; data.size=[32,64] scores as it was trained"


@pytest.mark.parametrize(("size", "noted"), [("[64,128]", True), ("[32,64]", False), ("48", True)])
def test_a_size_that_is_not_the_runs_is_told(
    run: Command, drawn: Path, teachers: Path, tmp_path: Path, size: str, noted: bool
) -> None:
    model = Path(shutil.copytree(teachers / "b0", tmp_path / "run/student"))
    config = {"data": {"name": "cityscapes", "root": str(drawn), "size": [32, 64]}, "student": {"backbone": "mit_b0"}}
    (model.parent / "config.yaml").write_text(yaml.safe_dump(config))
    fixed = ["data=synthetic", f"data.root={drawn}", "workers=0", "resamples=0", "pictures=0", "boundary=false"]
    outcome = run(f"model={model}", *fixed, f"data.size={size}", "output=out", name="transkd-eval")
    assert outcome.code == 0, outcome.err
    shown = {"[64,128]": "64x128", "48": "a short side of 48"}.get(size, "")
    assert (f"trained at 32x64 ({model.parent}/config.yaml), scored here at {shown}{NOTE}" in outcome.out) == noted
    assert ("as it was trained" in outcome.out) == noted
