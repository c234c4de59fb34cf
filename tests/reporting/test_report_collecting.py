"""Which folders are runs, and what becomes of those that are of no use."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from made_runs import Maker

from transkd.errors import ConfigError
from transkd.reporting import ReportOptions, build_report
from transkd.reporting.collect import collect_runs


def folders(*sources: str) -> list[str]:
    """Return the folders of the runs that are found."""
    return [run.folder.as_posix() for run in collect_runs(sources).runs]


def test_any_nesting_lists_globs_and_links(make: Maker, tmp_path: Path) -> None:
    for at in ("a", "multirun/2026-01-01/0", "multirun/2026-01-01/1"):
        make("none", at=at)
    (make.root / "multirun/2026-01-01/jobs").mkdir()
    assert folders("runs") == ["runs/a", "runs/multirun/2026-01-01/0", "runs/multirun/2026-01-01/1"]
    assert folders("runs/multirun/*/1", "runs/a") == ["runs/multirun/2026-01-01/1", "runs/a"]
    assert folders("runs/**/0") == ["runs/multirun/2026-01-01/0"]
    assert folders("runs/a/results.json") == ["runs/a"]
    (tmp_path / "elsewhere").symlink_to(make.root / "multirun")
    (make.root / "loop").symlink_to(make.root)
    assert folders("elsewhere") == ["elsewhere/2026-01-01/0", "elsewhere/2026-01-01/1"]
    assert len(folders("runs", "runs/a", "elsewhere")) == 3


def test_the_folder_of_a_sweep_names_its_runs(make: Maker, tmp_path: Path) -> None:
    trained, _ = make("none", at="one"), make("none", at="of-no-sweep")
    jobs = tmp_path / "runs/multirun/2026-01-01/jobs"
    jobs.mkdir(parents=True)
    (jobs / "0.json").write_text(json.dumps({"fate": "done", "folder": str(trained.absolute()), "message": ""}))
    (jobs / "1.json").write_text(json.dumps({"fate": "failed", "folder": "", "message": "out of memory"}))
    (jobs / "2.json").write_text("{")
    cut_off = {"fate": "cut off", "folder": "", "message": "", "overrides": ["distillation=kd", "seed=1"]}
    (jobs / "3.json").write_text(json.dumps(cut_off))
    (jobs / "4.json").write_text(json.dumps({"fate": "done", "folder": "/gone/run", "message": ""}))
    (jobs / "5.json").write_text("[]")
    collection = collect_runs(["runs/multirun/2026-01-01"])
    assert [run.folder for run in collection.runs] == [Path("runs/one")], "as people name it, not by its whole path"
    assert [(one.folder.name, one.reason) for one in collection.left_out] == [
        ("1.json", "job failed: out of memory"),
        ("2.json", "job unknown: the file cannot be read (JSONDecodeError)"),
        ("3.json", "job distillation=kd seed=1 cut off"),
        ("4.json", "job done, but its run /gone/run does not exist: give the folder where it is now in runs=…"),
        ("5.json", "job unknown: the file cannot be read (AttributeError)"),
    ]


def test_parts_of_a_run_are_no_runs(make: Maker) -> None:
    make("none", at="made-none-s0/checkpoints/copy")
    make("none")
    assert folders("runs") == ["runs/made-none-s0"]


def test_runs_of_no_use_are_listed_with_the_reason(make: Maker) -> None:
    make("none", at="good")
    spoilt = {name: make("none", seed, at=name) for seed, name in enumerate(REASONS)}
    (spoilt["unfinished"] / "results.json").unlink()
    cut = spoilt["truncated"] / "results.json"
    cut.write_text(cut.read_text()[:200])
    change(spoilt["not_a_number"], miou=float("nan"))
    change(spoilt["above_one"], miou=1.5)
    change(spoilt["lacks_classes"], per_class=None)
    change(spoilt["no_score"], miou=None)
    change(spoilt["other_seed"], seed=77)
    (spoilt["foreign"] / "config.yaml").write_text("learning_rate: 0.1\n")
    (spoilt["no_config"] / "config.yaml").unlink()
    (spoilt["no_yaml"] / "config.yaml").write_text("a: [1,\n")
    (spoilt["binary"] / "config.yaml").write_bytes(b"\xff\xfe\x00")
    (spoilt["no_such_date"] / "config.yaml").write_text("begun: 2026-02-31\n")
    (spoilt["deep"] / "results.json").write_text("[" * 100_000)
    change(spoilt["protocol_of_text"], protocol={"dataset": "x", "options": "y"})
    change(spoilt["protocol_not_finite"], protocol={"dataset": "x", "scales": [float("inf")]})
    change(spoilt["flat_image"], image_size=[0, 64])
    change(spoilt["endless"], training={"seconds": 1e300})
    change(spoilt["less_than_none"], params=-1)
    change(spoilt["text_for_a_number"], gmacs="many")
    found = {one.folder.name: one.reason for one in collect_runs(["runs"]).left_out}
    assert found.keys() == REASONS.keys()
    for name, reason in REASONS.items():
        assert found[name].startswith(reason), name
    assert folders("runs") == ["runs/good"]
    report = build_report(ReportOptions(("runs",)))
    assert [one.folder.name for one in report.left_out] == sorted(REASONS)


REASONS = {
    "above_one": "damaged: results.json at miou: input should be less than or equal to 1",
    "binary": "damaged: config.yaml cannot be read",
    "deep": "damaged: results.json cannot be read (maximum recursion depth",
    "endless": "damaged: results.json at training.seconds: input should be less than or equal to",
    "flat_image": "damaged: results.json at image_size.0: input should be greater than or equal to 1",
    "foreign": "foreign: its config.yaml is not of a training run of transkd",
    "lacks_classes": "damaged: results.json at per_class",
    "less_than_none": "damaged: results.json at params: input should be greater than or equal to 0",
    "no_config": "foreign or damaged: it has no config.yaml",
    "no_score": "no score: nothing was validated",
    "no_such_date": "damaged: config.yaml cannot be read (day is out of range for month)",
    "no_yaml": "damaged: config.yaml cannot be read (while parsing",
    "not_a_number": "damaged: results.json at miou",
    "other_seed": "damaged: config.yaml and results.json are of different runs, by their seed",
    "protocol_not_finite": "damaged: results.json at protocol: a number in it is not finite",
    "protocol_of_text": "damaged: results.json at protocol: options should be a section",
    "text_for_a_number": "damaged: results.json at gmacs: input should be a valid number",
    "truncated": "damaged: results.json cannot be read",
    "unfinished": "unfinished: it has no results.json",
}


def change(run: Path, **values: object) -> None:
    """Change values in ``results.json``."""
    path = run / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_globs_may_name_files(make: Maker) -> None:
    for at in ("a", "b"):
        make("none", at=at)
    assert folders("runs/*/results.json") == ["runs/a", "runs/b"]


def test_folders_that_may_not_be_read_are_listed(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    make("none", at="a")
    (make.root / "secret").mkdir()
    scandir = os.scandir

    def refusing(path: str | Path) -> object:
        if Path(path).name == "secret":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    collection = collect_runs(["runs"])
    assert [(one.folder.name, one.reason) for one in collection.left_out] == [
        ("secret", "cannot be read (Permission denied)")
    ]


def test_nothing_found(make: Maker) -> None:
    with pytest.raises(ConfigError, match=r"^runs=nowhere: there is no such folder; give a folder of runs"):
        collect_runs(["nowhere"])
    with pytest.raises(ConfigError, match=r"^runs=none\*: there is no such folder"):
        collect_runs(["none*"])
    with pytest.raises(ConfigError, match=r"^runs=~nobody-of-this-name/runs: there is no such folder"):
        collect_runs(["~nobody-of-this-name/runs"])
    with pytest.raises(ConfigError, match="there is no such folder"):
        collect_runs(["x" * 5000])
    make.root.mkdir()
    with pytest.raises(ConfigError, match=r"^runs=runs: there is no finished run, a folder with config.yaml and"):
        collect_runs(["runs"])
    (make("none") / "results.json").unlink()
    with pytest.raises(ConfigError, match=r"what there is:\n  runs/made-none-s0: unfinished: it has no results.json"):
        collect_runs(["runs"])


def test_curves_leave_the_final_scoring_out(make: Maker) -> None:
    make("none", miou=0.5, curve=[(9, 0.1), (39, 0.3)])
    (run,) = collect_runs(["runs"]).runs
    assert run.curve == ((10, 0.1), (40, 0.3))
    (run.folder / "metrics.csv").write_text("step,val/miou\nx,y\n")
    assert collect_runs(["runs"]).runs[0].curve == ()
    (run.folder / "metrics.csv").unlink()
    assert collect_runs(["runs"]).runs[0].curve == ()
