"""``transkd-report``."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import pytest
from command_runs import Command
from rich.console import Console

from transkd.cli.report import print_report
from transkd.reporting import ReportOptions, build_report

sys.path.insert(0, str(Path(__file__).parents[1] / "reporting"))  # made_runs

from made_runs import BARE, Compose, Maker

TAUGHT = ("teacher.weights=runs/teacher-s0/model",)


@pytest.fixture
def report(run: Command) -> Command:
    """Call ``transkd-report`` from an empty folder."""
    return partial(run, name="transkd-report")


@pytest.fixture
def make(run: Command, tmp_path: Path, compose_config: Compose) -> Maker:
    """Write runs below ``runs`` of the command's folder."""
    return Maker(tmp_path / "runs", compose_config)


def few(make: Maker) -> None:
    """Write a teacher, a plain student and a distilled one, two seeds each."""
    make.teacher()
    for seed in range(2):
        make("none", seed, 0.40 + 0.01 * seed)
        make("transkd_ea", seed, 0.50 + 0.01 * seed, overrides=TAUGHT)


def test_by_default_all_of_runs_into_report(report: Command, make: Maker, tmp_path: Path) -> None:
    few(make)
    (make("kd", overrides=TAUGHT) / "results.json").unlink()
    outcome = report()
    assert (outcome.code, outcome.err) == (0, "")
    rows = [line.split() for line in outcome.out.splitlines() if "transkd_ea" in line]
    assert rows[0] == ["transkd_ea", "2", "50.50", "±", "0.71", "+10.00", "+10.00", "to", "+10.00", "a", "gain", "33.9"]
    assert "left out runs/made-kd-s0: unfinished: it has no results.json" in outcome.out
    assert outcome.out.splitlines()[-1] == "report   report/report.html"
    assert json.loads((tmp_path / "report/report.json").read_text())["options"]["runs"] == ["runs"]


def test_options_and_the_command_in_the_report(report: Command, make: Maker, tmp_path: Path) -> None:
    few(make)
    arguments = ["runs=[runs/made-*,runs/teacher-s0]", "only=[seed:0,seed:1]", "exclude=distillation.name:kd*"]
    outcome = report(*arguments, "confidence=0.9", "scenes=0", "output=deep/er", "teacher_run=runs/teacher-s0")
    assert outcome.code == 0, outcome.err
    text = (tmp_path / "deep/er/report.md").read_text()
    assert "90 % interval" in text
    (command,) = [line for line in text.splitlines() if line.startswith("transkd-report ")]
    assert command == (
        "transkd-report 'runs=[runs/made-*,runs/teacher-s0]' 'only=[seed:0,seed:1]' 'exclude=distillation.name:kd*' "
        "confidence=0.9 scenes=0 teacher_run=runs/teacher-s0"
    )


def test_nothing_is_overwritten_unasked(report: Command, make: Maker, tmp_path: Path) -> None:
    for seed in range(2):
        make("none", seed, results=BARE, curve=())
    report("tables=split", "output=out")
    (tmp_path / "out/notes.txt").write_text("mine")
    (tmp_path / "out/table-7.csv").write_text("of an earlier report")
    (tmp_path / "out/gains_for_the_talk.png").write_text("mine too")
    page = (tmp_path / "out/report.html").read_bytes()
    assert report("output=out").refused("transkd-report") == (
        "transkd-report: output=out holds a report already: choose another folder, or overwrite=true\n"
    )
    (make.root / "made-none-s1/results.json").unlink()
    assert (tmp_path / "out/report.html").read_bytes() == page
    assert report("output=out", "overwrite=true").code == 0
    assert (tmp_path / "out/report.html").read_bytes() != page
    assert (tmp_path / "out/notes.txt").read_text() == "mine"
    assert not (tmp_path / "out/table-7.csv").exists()
    assert (tmp_path / "out/gains_for_the_talk.png").is_file()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.tex").write_text("years of work")
    text = report("output=other", "overwrite=true").refused("transkd-report")
    assert "output=other is not empty and holds no report: choose another folder" in text
    assert "output=out/notes.txt is a file; give a folder" in report("output=out/notes.txt").refused("transkd-report")


def test_a_refused_mix_writes_nothing(report: Command, make: Maker, tmp_path: Path) -> None:
    make("none", results=BARE, curve=())
    make("none", 1, overrides=("optimizer.lr=0.1",), results=BARE, curve=())
    text = report().refused("transkd-report")
    assert "  optimizer.lr: 0.0005 in runs/made-none-s0; 0.1 in runs/made-none-s1\n" in text
    assert not (tmp_path / "report").exists()
    outcome = report("tables=split")
    assert outcome.code == 0
    assert {path.name for path in (tmp_path / "report").glob("table*.csv")} == {"table-1.csv", "table-2.csv"}
    assert report("only=optimizer.lr:0.1", "output=one").code == 0


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (["runs=nowhere"], "runs=nowhere: there is no such folder"),
        (["runs=[]"], "runs: give a folder or a glob, or a list of such (it is [])"),
        (["only=seed"], "only: 'seed' is not of the form KEY:VALUE, such as trainer.max_epochs:40 or seed:0"),
        (["ouput=x"], "ouput: there is no such key; did you mean 'output'?"),
    ],
)
def test_mistakes(report: Command, arguments: list[str], reported: str) -> None:
    assert reported in report(*arguments).refused("transkd-report")


def test_an_earlier_report_stays_where_the_new_one_cannot_be_written(
    report: Command, make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("none", results=BARE, curve=())
    assert report("output=out").code == 0
    assert "output=out/report.md/x cannot be written (Not a directory)" in report("output=out/report.md/x").refused(
        "transkd-report"
    )
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name == "table.tex":
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    text = report("output=out", "overwrite=true").refused("transkd-report")
    assert "output=out cannot be written (No space left on device)" in text
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_what_training_leaves_is_what_a_report_reads(
    report: Command, run: Command, tiny: list[str], tmp_path: Path
) -> None:
    arguments = ["data=synthetic", *tiny]
    assert run(*[a for a in arguments if a != "pictures=0"], "distillation=none", "pictures=2").code == 0
    outcome = report()
    assert outcome.code == 0, outcome.err
    (table,) = json.loads((tmp_path / "report/report.json").read_text())["tables"]
    (row,) = table["rows"]
    (results,) = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/results.json")]
    assert row["miou"]["mean"] == results["miou"]
    assert row["costs"]["images_per_second"] == results["training"]["images_per_second"]
    assert row["costs"]["peak_memory_mb"] == results["training"]["peak_memory_mb"]
    assert row["costs"]["steps"] == 1
    assert (tmp_path / "report/curves.svg").is_file()
    html = (tmp_path / "report/report.html").read_text()
    assert html.count("<figcaption>plain student</figcaption>") == 2


def test_a_narrow_terminal_shows_every_column_in_whole_words(
    make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    few(make)
    monkeypatch.chdir(tmp_path)
    print_report(build_report(ReportOptions(("runs",))), Console(width=80))
    text = capfd.readouterr().out
    assert max(len(line) for line in text.splitlines() if not line.startswith("- ")) <= 80
    for word in ("transkd_ea", "plain", "student", "50.50 ± 0.71", "+10.00", "a gain", "33.9", "gap,"):
        assert word in text, word
