"""Many runs by one command."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from command_runs import Command, Outcome
from safetensors.torch import load_file

from transkd.cli import train
from transkd.errors import CheckpointError
from transkd.models import backbones
from transkd.runs.folder import RunFolder


def fates(outcome: Outcome) -> list[str]:
    """Return the third column of the table of jobs."""
    table = outcome.out[outcome.out.rindex("the sweep's jobs") :]
    return re.findall(r"^│ \d+ +│[^│]*│ (\w+(?: before)?) +│", table, re.MULTILINE)


def test_seeds_give_separate_folders(run: Command, tiny: list[str], tmp_path: Path) -> None:
    outcome = run("-m", *tiny, "seed=0,1")
    assert outcome.code == 0, outcome.err
    folders = sorted(path.parent.name for path in tmp_path.glob("runs/*/results.json"))
    assert folders == ["cityscapes-mit_b0-none-s0", "cityscapes-mit_b0-none-s1"]
    first, second = (json.loads((tmp_path / "runs" / name / "results.json").read_text()) for name in folders)
    assert first["per_class"] != second["per_class"]
    assert first["command"].startswith("transkd-train ")
    assert first["command"].endswith(" seed=0")


@pytest.mark.slow
def test_a_failing_job_does_not_stop_the_others(run: Command, tiny: list[str], tmp_path: Path) -> None:
    outcome = run("-m", *tiny, "data.train_split=trian,train", "name=from-${data.train_split}")
    assert outcome.code == 1
    assert outcome.err.count("transkd-train: ") == 1
    assert "no split 'trian'" in outcome.err
    assert "Traceback" not in outcome.err
    assert [path.parent.name for path in tmp_path.glob("runs/*/results.json")] == ["from-train"]
    assert fates(outcome) == ["failed", "done"]
    assert "1 of 2 jobs did not finish; the same command does only what is missing" in outcome.out


CUSTOM = """
from transkd.models.backbones import BackboneEntry, find_backbone, register_backbone
def build(rate):
    class Broken(type(network := find_backbone('mit_b0').build(rate))):
        def forward(self, images):
            raise RuntimeError('sizes do not fit')
    network.__class__ = Broken
    return network
register_backbone('broken', BackboneEntry(build, segformer_width=16))
"""


def test_a_bug_is_one_line_and_its_traceback_a_log(
    run: Command, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "custom.py").write_text(CUSTOM)
    monkeypatch.delitem(sys.modules, "custom", raising=False)
    monkeypatch.setattr(backbones, "_BACKBONES", dict(backbones._BACKBONES))  # forgets it again
    outcome = run("-m", *tiny, "imports=[custom]", "student.backbone=broken", "seed=0,1")
    assert outcome.code == 1
    assert fates(outcome) == ["failed", "failed"]
    assert "transkd-train: RuntimeError: sizes do not fit (traceback: " in outcome.err
    assert "Traceback" not in outcome.err
    logs = sorted(tmp_path.glob("runs/multirun/*/jobs/*.log"))
    assert [log.name for log in logs] == ["0.log", "1.log"]
    assert all(log.read_text().endswith("RuntimeError: sizes do not fit\n") for log in logs)


@pytest.mark.slow
def test_a_finished_run_of_other_data_is_not_taken_for_this_one(
    run: Command, tiny: list[str], tmp_path: Path, drawn: Path
) -> None:
    for name in ("moved", "other"):
        shutil.copytree(drawn, tmp_path / name)
    label = next((tmp_path / "other/gtFine/train").rglob("*_labelIds.png"))
    label.write_bytes(label.read_bytes() + b"more")
    assert run("-m", *tiny, "seed=0").code == 0
    assert fates(run("-m", *tiny, "seed=0", f"data.root={tmp_path / 'moved'}")) == ["done before"]
    outcome = run("-m", *tiny, "seed=0", f"data.root={tmp_path / 'other'}")
    assert fates(outcome) == ["failed"]
    assert "holds a finished run on other data, in " in outcome.err
    assert "/other, the training split has other files; give this sweep's runs other folders" in outcome.err


@pytest.mark.slow
def test_the_same_sweep_again_does_only_what_is_missing(run: Command, tiny: list[str], tmp_path: Path) -> None:
    assert run("-m", *tiny, "seed=0,1").code == 0
    whole, cut = (tmp_path / f"runs/cityscapes-mit_b0-none-s{seed}" for seed in (0, 1))
    weights = load_file(cut / "model/model.safetensors")
    untouched = (whole / "results.json").stat().st_mtime_ns
    (cut / "results.json").unlink()
    shutil.rmtree(cut / "model")
    again = run("-m", *tiny, "seed=0,1,2")
    assert again.code == 0, again.err
    assert fates(again) == ["done before", "done", "done"]
    assert "resumed" in again.out
    assert (whole / "results.json").stat().st_mtime_ns == untouched
    resumed = load_file(cut / "model/model.safetensors")
    assert all(torch.equal(resumed[name], tensor) for name, tensor in weights.items())


SHARED = "jobs of this sweep share the folder runs/cityscapes-mit_b0-none-s0"
REFUSED = {
    "student.dropout=0,0.1 distillation=none,transkd_ea teacher.weights=random": [
        f"{SHARED}: its name says nothing of student.dropout. Add -${{student.dropout}} to its name=… or output=…"
    ],
    "teacher=mit_b1,mit_b2": [
        f"{SHARED}: its name says nothing of teacher. Add -${{teacher.backbone}} to its name=… or output=…"
    ],
    "seed=0,0": [f"{SHARED}, and are the same: leave out what is given twice"],
    "seed=0,1 hydra/launcher=slurm": [
        "hydra/launcher=slurm: there is no such launcher; joblib, submitit_local and submitit_slurm need: pip install "
        "'transkd[sweep]'"
    ],
    "student=mit_b0,mit_b1,timm seed=0,no": [
        "there are 2 mistakes in the sweep:",
        "  seed: give a whole number (it is 'no'), in job 2 (student=mit_b0 seed=no) and 1 more",
        "  student.backbone: is missing, in job 5 (student=timm seed=0) and 1 more",
    ],
    "student=mit_b0,mit_bb distilation=none,transkd_ea seed=interval(0,1)": [
        "there are 3 mistakes in the arguments:",
        "  seed=interval(0,1): an interval has no end of values: write them out, or range(from,to,step)",
        "  student=mit_bb: there is no such choice; did you mean 'mit_b5'?",
        "  distilation: there is no such key; did you mean 'distillation'?",
    ],
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_mistakes_in_a_sweep_are_reported_before_the_first_run(run: Command, tmp_path: Path, arguments: str) -> None:
    outcome = run("-m", *arguments.split(), "data.root=nowhere")
    assert outcome.code == 2
    assert outcome.err.splitlines() == [f"transkd-train: {REFUSED[arguments][0]}", *REFUSED[arguments][1:]]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_jobs_run_in_processes_of_their_own(run: Command, tiny: list[str], tmp_path: Path, launcher: str) -> None:
    settings = ["hydra.launcher.n_jobs=2"] if launcher == "joblib" else ["hydra.launcher.timeout_min=5"]
    names = ["data.train_split=train,trian", "name=from-${data.train_split}"]
    outcome = run("-m", *tiny, *names, f"hydra/launcher={launcher}", *settings)
    assert outcome.code == 1
    assert fates(outcome) == ["done", "failed"]
    results = json.loads((tmp_path / "runs/from-train/results.json").read_text())
    assert results["command"].endswith("data.train_split=train 'name=from-${data.train_split}'")


def test_a_folder_of_a_sweep_forgets_an_earlier_one(run: Command, tmp_path: Path) -> None:
    jobs = tmp_path / "fixed/jobs"
    jobs.mkdir(parents=True)
    for name in ("0.json", "7.json", "7.log", "notes.json"):
        (jobs / name).write_text("{")
    outcome = run("-m", "seed=0", "data.root=nowhere", "hydra.sweep.dir=fixed")
    assert fates(outcome) == ["failed"]
    assert sorted(path.name for path in jobs.iterdir()) == ["0.json", "notes.json"]


@pytest.mark.slow
def test_a_folder_with_a_quote_in_its_name(run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "o'clock d'é").mkdir()
    monkeypatch.chdir(tmp_path / "o'clock d'é")
    outcome = run("-m", "seed=range(0,2)", "distillation=glob(none*)", "data.root=nowhere")
    assert fates(outcome) == ["failed", "failed"]
    assert outcome.err.count("nowhere does not exist") == 2


def test_a_folder_of_a_sweep_that_cannot_be_written(run: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = run("-m", "seed=0", "data.root=nowhere", "hydra.sweep.dir=file/sweep")
    assert outcome.code == 2
    assert f"the sweep's folder {tmp_path}/file/sweep cannot be written (Not a directory)" in outcome.err


@pytest.mark.parametrize(
    ("results", "config"),
    [('{"miou": 0.5', "data: {root: x}"), ('{"miou": 0.5}', "a: ["), ('{"accuracy": 0.5}', "data: {root: x}")],
)
def test_what_is_no_finished_run_is_not_taken_for_one(tmp_path: Path, results: str, config: str) -> None:
    (tmp_path / "results.json").write_text(results)
    (tmp_path / "config.yaml").write_text(config)
    with pytest.raises(CheckpointError, match=r"results.json or config.yaml is missing or damaged"):
        train._finished({"seed": 0}, RunFolder(tmp_path))


def test_other_weights_of_the_same_training_are_another_run(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"miou": 0.5}')
    (tmp_path / "config.yaml").write_text("checkpoint: {select: best, every_n_steps: 5}\ndata: {root: there}\n")
    values: dict[str, Any] = {"checkpoint": {"select": "best", "every_n_steps": 9}, "data": {"root": "here"}}
    assert train._finished(values, RunFolder(tmp_path)) == {"miou": 0.5}
    with pytest.raises(CheckpointError, match=r"checkpoint\.select: it was best, it is last"):
        train._finished(values | {"checkpoint": {"select": "last"}}, RunFolder(tmp_path))


@pytest.mark.slow
def test_a_job_of_several_processes_is_refused(run: Command, tiny: list[str]) -> None:
    outcome = run("-m", *tiny, "trainer.devices=2", "seed=0,1")
    assert outcome.code == 2
    assert fates(outcome) == ["failed", "failed"]
    assert "trainer.devices=2, trainer.num_nodes=1: a job of a sweep is one process on one device" in outcome.err
