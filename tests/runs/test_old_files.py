"""What version 0.1 left on disk is read, resumed, scored and reported as before."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import transkd
from transkd.data import SceneDataModule
from transkd.runs.checkpoints import read_checkpoint

OLD = Path(__file__).parents[1] / "fixtures/v01"
TRAINED = (
    "imports=[micro_backbones]",
    "data=synthetic",
    "data.root=data/scenes",
    "data.size=[64,64]",
    "data.batch_size=2",
    "data.val_batch_size=2",
    "data.workers=0",
    "trainer.accelerator=cpu",
    "pictures=0",
    "student=timm",
    "student.backbone=micro",
    "teacher=timm",
    "teacher.backbone=micro_teacher",
    "teacher.weights=runs/teacher/model",
    "distillation=transkd_ea",
    "ema_decay=0.9",
    "name=student",
)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the folder that version 0.1 worked in."""
    return Path(shutil.copytree(OLD, tmp_path_factory.mktemp("v01") / "work"))


@pytest.fixture(scope="module")
def _backbones() -> None:
    sys.path.insert(0, str(OLD))
    import micro_backbones  # noqa: F401

    sys.path.remove(str(OLD))


def command(name: str, *arguments: str, folder: Path) -> str:
    """Run a command as its script does; return what it printed."""
    code = f"import sys; sys.argv[0] = 'transkd-{name}'; from transkd.cli.app import main; main('transkd-{name}')"
    env = os.environ | {"OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def resumed(old: Path) -> Path:
    shutil.copytree(old / "runs/student", old / "runs/resumed")
    printed = command("train", *TRAINED, "trainer.max_epochs=3", "resume=auto", "output=runs/resumed", folder=old)
    (old / "printed.txt").write_text(printed)
    return old / "runs/resumed"


def keys(values: Any, prefix: str = "") -> set[str]:
    if not isinstance(values, dict):
        return {prefix}
    return {prefix, *(key for name, value in values.items() for key in keys(value, f"{prefix}.{name}"))}


@pytest.mark.usefixtures("_backbones")
def test_saved_segmenter_run_folder_and_checkpoint_give_equal_logits() -> None:
    image = SceneDataModule("cityscapes", OLD / "data/scenes", size=[64, 64]).val_dataset[0]["image"][None]
    logits = []
    for source in ("runs/student/student", "runs/student", "runs/student/checkpoints/best.ckpt"):
        with torch.no_grad():
            logits.append(transkd.load_segmenter(OLD / source).eval()(image))
    assert logits[0].shape == (1, 19, 16, 16)
    assert torch.equal(logits[0], logits[1])
    assert torch.equal(logits[0], logits[2])


def test_a_run_resumes(resumed: Path) -> None:
    before = json.loads((OLD / "runs/student/results.json").read_text())
    after = json.loads((resumed / "results.json").read_text())
    assert keys(before) <= keys(after)
    assert (after["training"]["steps"], after["training"]["epochs"]) == (9, 3)
    assert after["first_steps"] == before["first_steps"]
    assert read_checkpoint(resumed / "checkpoints/last.ckpt")["global_step"] == 9
    old_rows, rows = ((run / "metrics.csv").read_text().splitlines() for run in (OLD / "runs/student", resumed))
    assert rows[0] == old_rows[0]
    assert rows[1:3] == old_rows[1:3]


def test_the_commands_after_a_run_name_what_it_imports(old: Path, resumed: Path) -> None:
    printed = (old / "printed.txt").read_text()
    (score,) = [line for line in printed.splitlines() if line.strip().startswith("score it:")]
    assert "'imports=[micro_backbones]'" in score


def test_a_model_is_scored_with_the_same_numbers(old: Path) -> None:
    arguments = ("imports=[micro_backbones]", "data=synthetic", "data.root=data/scenes", "data.size=[64,64]")
    options = ("data.workers=0", "device=cpu", "output=evaluated", "pictures=0")
    command("eval", "model=runs/student", *arguments, *options, folder=old)
    before = json.loads((OLD / "scores.json").read_text())
    after = json.loads((old / "evaluated/scores.json").read_text())
    assert keys(before) <= keys(after)
    for key in ("miou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou", "boundary_iou"):
        assert after[key] == pytest.approx(before[key], abs=1e-6)
    assert after["per_class"] == pytest.approx(before["per_class"], abs=1e-6)


@pytest.mark.usefixtures("_backbones")
def test_a_report_reads_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(OLD)
    report = transkd.report("runs")
    rows = {row.method.kind: row for table in report.tables for row in table.rows}
    results = json.loads((OLD / "runs/student/results.json").read_text())
    assert rows["distilled"].miou.mean == results["miou"]
    assert rows["distilled"].method.title == "transkd_ea"
