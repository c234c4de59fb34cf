"""Many runs by one command."""

from __future__ import annotations

import json
from pathlib import Path

from command_runs import Command


def test_seeds_give_separate_folders(run: Command, tiny: list[str], tmp_path: Path) -> None:
    outcome = run("-m", *tiny, "seed=0,1")
    assert outcome.code == 0, outcome.err
    folders = sorted(path.parent.name for path in tmp_path.glob("runs/*/results.json"))
    assert folders == ["cityscapes-mit_b0-none-s0", "cityscapes-mit_b0-none-s1"]
    first, second = (json.loads((tmp_path / "runs" / name / "results.json").read_text()) for name in folders)
    assert first["per_class"] != second["per_class"]


def test_a_failing_job_does_not_stop_the_others(run: Command, tiny: list[str], tmp_path: Path) -> None:
    outcome = run("-m", *tiny, "data.train_split=trian,train")
    assert outcome.code == 1
    assert outcome.err.count("transkd-train: ") == 1
    assert "no split 'trian'" in outcome.err
    assert "Traceback" not in outcome.err
    assert len(list(tmp_path.glob("runs/*/results.json"))) == 1


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
