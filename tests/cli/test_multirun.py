"""Many runs by one command."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from command_runs import Command, Outcome
from safetensors.torch import load_file

from transkd.cli import train_sweep
from transkd.distillation import registry


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


def test_a_failing_job_does_not_stop_the_others(run: Command, tiny: list[str], tmp_path: Path) -> None:
    outcome = run("-m", *tiny, "data.train_split=trian,train", "name=from-${data.train_split}")
    assert outcome.code == 1
    assert outcome.err.count("transkd-train: ") == 1
    assert "no split 'trian'" in outcome.err
    assert "Traceback" not in outcome.err
    assert [path.parent.name for path in tmp_path.glob("runs/*/results.json")] == ["from-train"]
    assert fates(outcome) == ["failed", "done"]
    assert "1 of 2 jobs did not finish; the same command does only what is missing" in outcome.out


def test_a_bug_in_one_job_is_logged_and_the_others_go_on(
    run: Command, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text(
        "import os, transkd\n"
        "@transkd.register_loss('broken')\n"
        "class Broken(transkd.DistillationLoss):\n"
        "    def forward(self, student, teacher):\n"
        "        raise RuntimeError('sizes do not fit')\n"
    )
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    losses = ["imports=[broken]", "distillation.losses.broken.weight=1", "teacher=mit_b0", "teacher.weights=random"]
    try:
        outcome = run("-m", *tiny, *losses, "seed=0,1")
    finally:
        registry._LOSSES.pop("broken", None)
    assert outcome.code == 1
    assert fates(outcome) == ["failed", "failed"]
    assert "Traceback" not in outcome.err
    (log,) = tmp_path.glob("runs/multirun/*/jobs/0.log")
    assert log.read_text().endswith("RuntimeError: sizes do not fit\n")
    assert f"transkd-train: RuntimeError: sizes do not fit (all of it: {log})" in outcome.err


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


def test_a_finished_run_of_other_settings_is_not_taken_for_this_one(
    run: Command, tiny: list[str], tmp_path: Path
) -> None:
    assert run(*tiny, "name=same").code == 0
    outcome = run("-m", *tiny, "name=same", "student.dropout=0.3,0.3")
    assert outcome.code == 2
    assert "jobs of this sweep share the folder runs/same" in outcome.err
    other = run("-m", *[text.replace("max_epochs=1", "max_epochs=2") for text in tiny], "name=same", "seed=0")
    assert other.code == 1
    assert fates(other) == ["failed"]
    assert (
        "runs/same holds a finished run of other settings (trainer.max_epochs: it was 1, it is 2): give this "
        "sweep's runs folders of their own by name=… or output=…, or move that run away"
    ) in other.err


def test_jobs_that_share_a_folder_are_refused_before_the_first(run: Command, tiny: list[str], tmp_path: Path) -> None:
    outcome = run("-m", *tiny, "student.dropout=0,0.1", "distillation=none,transkd_ea", "teacher.weights=random")
    outcome.refused()
    assert outcome.err == (
        "transkd-train: jobs of this sweep share the folder runs/cityscapes-mit_b0-none-s0: its name says nothing of "
        "student.dropout. Give each its own, such as "
        "'name=${data.name}-${student.backbone}-${distillation.name}-s${seed}-${student.dropout}'\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_jobs_run_in_processes_of_their_own(run: Command, tiny: list[str], tmp_path: Path, launcher: str) -> None:
    settings = ["hydra.launcher.n_jobs=2"] if launcher == "joblib" else ["hydra.launcher.timeout_min=5"]
    names = ["data.train_split=train,trian", "name=from-${data.train_split}"]
    outcome = run("-m", *tiny, *names, f"hydra/launcher={launcher}", *settings)
    assert outcome.code == 1
    assert fates(outcome) == ["done", "failed"]
    results = json.loads((tmp_path / "runs/from-train/results.json").read_text())
    assert results["command"].endswith("data.train_split=train 'name=from-${data.train_split}'")


def test_an_unknown_launcher_is_told_with_those_there_are(run: Command) -> None:
    outcome = run("-m", "seed=0,1", "hydra/launcher=slurm")
    assert outcome.code == 2
    assert outcome.err == (
        "transkd-train: hydra/launcher=slurm: there is no such launcher; known: basic, joblib, submitit_local, "
        "submitit_slurm\n"
    )


def test_each_job_tells_its_own_mistake(run: Command) -> None:
    outcome = run("-m", "seed=0,no", "data.root=nowhere")
    assert outcome.code == 2
    assert "nowhere does not exist" in outcome.err
    assert outcome.err.endswith("transkd-train: the config has a mistake:\n  seed: give a whole number (it is 'no')\n")


def test_mistakes_in_a_sweep_are_told_before_the_first_run(run: Command, tmp_path: Path) -> None:
    outcome = run("-m", "student=mit_b0,mit_bb", "distilation=none,transkd_ea", "seed=interval(0,1)")
    outcome.refused()
    assert sorted(outcome.lines) == [
        "distilation: there is no such key; did you mean 'distillation'?",
        "seed=interval(0,1): an interval has no end of values: write them out, or range(from,to,step)",
        "student=mit_bb: there is no such choice; did you mean 'mit_b5'?; any other hierarchical timm model: "
        "student=timm student.backbone=NAME",
    ]
    assert list(tmp_path.iterdir()) == []


def test_ranges_and_globs_sweep(run: Command, tmp_path: Path) -> None:
    outcome = run("-m", "seed=range(0,2)", "distillation=glob(none*)", "data.root=nowhere")
    assert outcome.code == 1
    assert outcome.err.count("nowhere does not exist") == 2


def test_a_job_of_several_processes_is_refused(run: Command, tiny: list[str]) -> None:
    outcome = run("-m", *tiny, "trainer.devices=2", "seed=0,1")
    assert outcome.code == 2
    assert fates(outcome) == ["failed", "failed"]
    assert "trainer.devices=2, trainer.num_nodes=1: a job of a sweep is one process on one device" in outcome.err


@pytest.mark.parametrize(("wished", "given"), [(None, "2026-01-01"), ("mine", "mine")])
def test_wandb_shows_the_runs_of_a_sweep_as_one_group(
    monkeypatch: pytest.MonkeyPatch, wished: str | None, given: str
) -> None:
    monkeypatch.setattr(train_sweep, "sweep_name", lambda: "2026-01-01")
    values = {"logger": {"wandb": {"project": "p", "group": wished}}, "seed": 1}
    assert train_sweep._grouped(values) == {"logger": {"wandb": {"project": "p", "group": given}}, "seed": 1}
    assert train_sweep._grouped({"logger": {"tensorboard": {}}}) == {"logger": {"tensorboard": {}}}
