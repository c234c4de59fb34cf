"""Which folders are runs, and why others are left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_runs import Maker, change

from transkd.errors import ConfigError
from transkd.reporting import collect_runs


def folders(*sources: str) -> list[str]:
    """Return the folders of the runs that are found."""
    return [run.folder.as_posix() for run in collect_runs(sources).runs]


def test_any_nesting_lists_globs_and_links(make: Maker, tmp_path: Path) -> None:
    for at in ("a", "a/checkpoints/copy", "multirun/2026-01-01/0", "multirun/2026-01-01/1"):
        make("none", at=at)
    (make.root / "multirun/2026-01-01/jobs").mkdir()
    assert folders("runs") == ["runs/a", "runs/multirun/2026-01-01/0", "runs/multirun/2026-01-01/1"]
    assert folders("runs/multirun/*/1", "runs/a") == ["runs/multirun/2026-01-01/1", "runs/a"]
    assert folders("runs/**/0") == ["runs/multirun/2026-01-01/0"]
    assert folders("runs/a/results.json") == folders("runs/*/results.json") == ["runs/a"]
    (tmp_path / "elsewhere").symlink_to(make.root / "multirun")
    (make.root / "loop").symlink_to(make.root)
    assert folders("elsewhere") == ["elsewhere/2026-01-01/0", "elsewhere/2026-01-01/1"]
    assert len(folders("runs", "runs/a", "elsewhere")) == 3


def test_the_folder_of_a_sweep_names_its_runs(make: Maker, tmp_path: Path) -> None:
    trained, _ = make("none", at="one"), make("none", at="of-no-sweep")
    files = {
        "0": {"fate": "done", "folder": str(trained.absolute()), "message": ""},
        "1": {"fate": "failed", "folder": "", "message": "out of memory"},
        "2": [],
        "3": {"fate": "cut off", "folder": "", "message": "", "overrides": ["distillation=kd", "seed=1"]},
        "4": {"fate": "done", "folder": "/gone/run", "message": ""},
    }
    jobs = tmp_path / "runs/multirun/2026-01-01/jobs"
    jobs.mkdir(parents=True)
    for name, job in files.items():
        (jobs / f"{name}.json").write_text(json.dumps(job))
    collection = collect_runs(["runs/multirun/2026-01-01"])
    assert [run.folder for run in collection.runs] == [Path("runs/one")], "as people name it, not by its whole path"
    assert [(one.folder.name, one.reason) for one in collection.left_out] == [
        ("1.json", "job failed: out of memory"),
        ("2.json", "job unknown: the file cannot be read (AttributeError)"),
        ("3.json", "job distillation=kd seed=1 cut off"),
        ("4.json", "job done, but its run /gone/run does not exist: give the folder where it is now in runs=…"),
    ]


def test_unusable_runs_are_listed_with_the_reason(make: Maker) -> None:
    make("none", at="good")
    change(make("none", at="not_a_number"), miou=float("nan"))
    change(make("none", at="other_seed"), seed=77)
    (make("none", at="unfinished") / "results.json").unlink()
    (make("none", at="no_config") / "config.yaml").unlink()
    (make("none", at="foreign") / "config.yaml").write_text("learning_rate: 0.1\n")
    reasons = {
        "foreign": "foreign: its config.yaml is not of a training run of transkd",
        "no_config": "foreign or damaged: it has no config.yaml",
        "not_a_number": "damaged: results.json at miou",
        "other_seed": "damaged: config.yaml and results.json are of different runs, by their seed",
        "unfinished": "unfinished: it has no results.json",
    }
    collection = collect_runs(["runs"])
    assert [run.folder.name for run in collection.runs] == ["good"]
    assert [one.folder.name for one in collection.left_out] == sorted(reasons)
    for one in collection.left_out:
        assert one.reason.startswith(reasons[one.folder.name])


@pytest.mark.parametrize("source", ["nowhere", "none*", "~nobody-of-this-name/runs", "x" * 5000])
def test_a_source_has_to_exist(make: Maker, source: str) -> None:
    with pytest.raises(ConfigError, match=r"^runs=.*: there is no such folder; give a folder of runs"):
        collect_runs([source])


def test_nothing_found(make: Maker) -> None:
    (make("none") / "results.json").unlink()
    with pytest.raises(ConfigError, match=r"no finished run(.|\n)*made-none-s0: unfinished: it has no results.json$"):
        folders("runs")


def test_curves_leave_the_final_scoring_out(make: Maker) -> None:
    make("none", miou=0.5, curve=[(9, 0.1), (39, 0.3)])
    (run,) = collect_runs(["runs"]).runs
    assert run.curve == ((10, 0.1), (40, 0.3))
    (run.folder / "metrics.csv").write_text("step,val/miou\nx,y\n")
    assert collect_runs(["runs"]).runs[0].curve == ()
