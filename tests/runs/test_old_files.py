"""What version 0.1 left on disk is read, resumed, scored and reported as before."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

import transkd
from transkd.cli.app import main
from transkd.data import SceneDataModule
from transkd.runs.checkpoints import read_checkpoint

OLD = Path(__file__).parents[1] / "fixtures/v01"
DATA = ("imports=[micro_backbones]", "data=synthetic", "data.root=data/scenes", "data.size=[64,64]")
TRAINED = (
    *("data.batch_size=2", "data.val_batch_size=2", "data.workers=0", "trainer.accelerator=cpu", "pictures=0"),
    *("student=timm", "student.backbone=micro", "teacher=timm", "teacher.backbone=micro_teacher"),
    *("teacher.weights=runs/teacher/model", "distillation=transkd_ea", "ema_decay=0.9", "name=student"),
)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the folder that version 0.1 worked in, as the current folder."""
    folder = Path(shutil.copytree(OLD, tmp_path_factory.mktemp("v01") / "work"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        import micro_backbones  # noqa: F401

        yield folder


def command(name: str, *arguments: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"transkd-{name}", *arguments])
        with pytest.raises(SystemExit) as end:
            main(f"transkd-{name}")
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None
    assert end.value.code == 0


def keys(values: Any, prefix: str = "") -> set[str]:
    if not isinstance(values, dict):
        return {prefix}
    return {prefix, *(key for name, value in values.items() for key in keys(value, f"{prefix}.{name}"))}


def test_saved_segmenter_run_folder_and_checkpoint_give_equal_logits(old: Path) -> None:
    image = SceneDataModule("cityscapes", old / "data/scenes", size=[64, 64]).val_dataset[0]["image"][None]
    logits = []
    for source in ("runs/student/student", "runs/student", "runs/student/checkpoints/best.ckpt"):
        with torch.no_grad():
            logits.append(transkd.load_segmenter(old / source).eval()(image))
    assert logits[0].shape == (1, 19, 16, 16)
    assert torch.equal(logits[0], logits[1])
    assert torch.equal(logits[0], logits[2])


def test_a_run_resumes(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(old / "runs/student", old / "resumed")
    command("train", *DATA, *TRAINED, "trainer.max_epochs=3", "resume=auto", "output=resumed")
    before = json.loads((OLD / "runs/student/results.json").read_text())
    after = json.loads((old / "resumed/results.json").read_text())
    assert keys(before) <= keys(after)
    assert (after["training"]["steps"], after["training"]["epochs"]) == (9, 3)
    assert after["first_steps"] == before["first_steps"]
    assert read_checkpoint(old / "resumed/checkpoints/last.ckpt")["global_step"] == 9
    old_rows, rows = ((run / "metrics.csv").read_text().splitlines() for run in (OLD / "runs/student", old / "resumed"))
    assert rows[0] == old_rows[0]
    assert rows[1:3] == old_rows[1:3]
    (score,) = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("score it:")]
    assert "'imports=[micro_backbones]'" in score


def test_a_model_is_scored_with_the_same_numbers(old: Path) -> None:
    command("eval", "model=runs/student", *DATA, "data.workers=0", "device=cpu", "output=evaluated", "pictures=0")
    before = json.loads((OLD / "scores.json").read_text())
    after = json.loads((old / "evaluated/scores.json").read_text())
    assert keys(before) <= keys(after)
    for key in ("miou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou", "boundary_iou", "per_class"):
        assert after[key] == pytest.approx(before[key], abs=1e-6)


def test_a_report_reads_the_runs(old: Path) -> None:
    report = transkd.report("runs")
    rows = {row.method.kind: row for table in report.tables for row in table.rows}
    results = json.loads((OLD / "runs/student/results.json").read_text())
    assert rows["distilled"].miou.mean == results["miou"]
    assert rows["distilled"].method.title == "transkd_ea"
