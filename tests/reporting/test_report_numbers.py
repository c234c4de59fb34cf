"""The numbers of a report, each worked out again from the scores that went in."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from made_runs import Maker
from scipy import stats

from transkd.errors import ConfigError
from transkd.reporting import ReportOptions, build_report
from transkd.reporting.columns import COSTS
from transkd.reporting.files import latex, report_json, table_csv
from transkd.reporting.plots import mean_curve
from transkd.reporting.rows import Row

NONE, EA, KD = (0.400, 0.410, 0.405), (0.502, 0.508, 0.511), (0.410, 0.405, 0.409)


@pytest.fixture
def rows(field: Path) -> dict[str, Row]:
    """Return the rows of the field by title."""
    return {row.method.title: row for row in build_report(ReportOptions(("runs",))).tables[0].rows}


def test_rows_are_teachers_plain_students_and_the_best_first(rows: dict[str, Row]) -> None:
    assert list(rows) == ["teacher mit_b2", "plain student", "transkd_ea", "kd", "cwd"]


def test_means_deviations_gains_and_gap(rows: dict[str, Row]) -> None:
    row = rows["transkd_ea"]
    assert (row.miou.mean, row.miou.std) == pytest.approx((np.mean(EA), np.std(EA, ddof=1)))
    theirs = stats.ttest_rel(EA, NONE).confidence_interval(0.95)
    assert row.gain is not None
    assert (row.gain.mean, row.gain.low, row.gain.high) == pytest.approx(
        (np.mean(EA) - np.mean(NONE), theirs.low, theirs.high)
    )
    assert row.recovered == pytest.approx((np.mean(EA) - np.mean(NONE)) / (0.7 - np.mean(NONE)))
    verdicts = {title: row.gain.verdict for title, row in rows.items() if row.gain}
    assert verdicts == {"transkd_ea": "above the noise", "kd": "within the noise", "cwd": "below the noise"}
    assert rows["plain student"].gain is None
    assert rows["teacher mit_b2"].recovered is None


def test_classes_that_are_absent_stay_absent(rows: dict[str, Row]) -> None:
    row = rows["transkd_ea"]
    assert row.per_class["sign symbol"] is None
    assert row.class_gains["sign symbol"] is None
    assert row.class_gains["road"] == pytest.approx(np.mean(EA) - np.mean(NONE))


def costs(row: Row) -> dict[str, float | None]:
    """Return the costs of a row by their keys."""
    return {cost.key: cost.value(row) for cost in COSTS}


def test_costs(rows: dict[str, Row]) -> None:
    found = costs(rows["kd"])
    assert (found["seconds"], found["images_per_second"], found["peak_memory_mb"]) == (180.0, 2.0, 900.0)
    assert (found["losses_share"], found["adapter_parameters"]) == (0.25, 650_000)
    assert costs(rows["plain student"])["losses_share"] is None
    assert costs(rows["teacher mit_b2"])["images_per_second"] is None


def test_one_latency_a_network(make: Maker) -> None:
    """Three runs of one network took 8, 9 and 30 ms: noise of the machine, not of the method."""
    for seed, (method, latency) in enumerate((("none", 8.0), ("kd", 9.0), ("cwd", 30.0))):
        overrides = () if method == "none" else ("teacher.weights=random",)
        make(method, seed, overrides=overrides, results={"latency_ms": latency})
    (table,) = build_report(ReportOptions(("runs",))).tables
    assert [costs(row)["latency_ms"] for row in table.rows] == [9.0, 9.0, 9.0]
    assert any(note.startswith("Latency is the median over all runs of the same network") for note in table.notes)


def test_machines_that_differ_are_told(make: Maker) -> None:
    make("none", results={"latency_ms": 8.0})
    make("kd", overrides=("teacher.weights=random",), results={"latency_ms": 2.0, "device": "NVIDIA H200"})
    (table,) = build_report(ReportOptions(("runs",))).tables
    assert [costs(row)["latency_ms"] for row in table.rows] == [8.0, 2.0]
    assert any(note.startswith("The runs were made on different machines") for note in table.notes)


def test_curves_are_means_where_all_were_validated(make: Maker) -> None:
    make("none", 0, curve=[(9, 0.1), (19, 0.2), (39, 0.4)])
    make("none", 1, curve=[(9, 0.3), (29, 0.3), (39, 0.5)])
    make("none", 2, curve=[])
    curve = mean_curve(build_report(ReportOptions(("runs",))).tables[0].rows[0].method.runs)
    assert [step for step, _ in curve] == [10, 40]
    assert [miou.mean for _, miou in curve] == pytest.approx([0.2, 0.45])
    assert curve[0][1].std == pytest.approx(np.std([0.1, 0.3], ddof=1))


def test_a_single_run(make: Maker) -> None:
    make("none", miou=0.42)
    (table,) = build_report(ReportOptions(("runs",))).tables
    (row,) = table.rows
    assert (row.miou.mean, row.miou.std, row.gain, row.recovered) == (0.42, None, None, None)
    assert table.notes[0] == "One seed only, so no deviation and no interval: plain student."


def test_no_plain_student(make: Maker) -> None:
    make("kd", overrides=("teacher.weights=random",))
    (table,) = build_report(ReportOptions(("runs",))).tables
    assert table.rows[0].gain is None
    assert any(note.startswith("Gains are absent where there is no plain student of the same") for note in table.notes)


def test_a_gain_is_of_the_seeds_that_both_have(make: Maker) -> None:
    make.teacher(miou=0.7)
    for seed, miou in ((0, 0.30), (1, 0.40), (2, 0.50), (3, 0.36)):
        make("none", seed, miou)
    for seed, miou in ((0, 0.32), (1, 0.42), (2, 0.52)):
        make("kd", seed, miou, overrides=("teacher.weights=runs/teacher-s0/model",))
    (table,) = build_report(ReportOptions(("runs",))).tables
    (row,) = [row for row in table.rows if row.method.title == "kd"]
    assert row.gain is not None
    assert (row.gain.mean, row.gain.seeds) == (pytest.approx(0.02), (0, 1, 2))
    assert row.recovered == pytest.approx(0.02 / (0.7 - 0.4)), "of the gap between the teacher and those seeds"
    assert "kd: gain and interval are of seeds 0, 1, 2, which both have; left out: 3 of plain student." in table.notes


def test_seeds_that_do_not_pair_are_said(make: Maker) -> None:
    for seed, miou in ((0, 0.40), (1, 0.41)):
        make("none", seed, miou)
    for seed, miou in ((1, 0.50), (2, 0.51), (3, 0.53)):
        make("kd", seed, miou, overrides=("teacher.weights=random",))
    (table,) = build_report(ReportOptions(("runs",))).tables
    assert "kd: the seeds do not pair with the plain student's: Welch's interval (95 %)." in table.notes
    theirs = stats.ttest_ind((0.50, 0.51, 0.53), (0.40, 0.41), equal_var=False).confidence_interval(0.95)
    gain = table.rows[1].gain
    assert gain is not None
    assert (gain.low, gain.high) == pytest.approx((theirs.low, theirs.high))


def test_gains_over_a_method_that_is_named(field: Path, rows: dict[str, Row]) -> None:
    report = build_report(ReportOptions(("runs",), baseline="k?"))
    (table,) = report.tables
    found = {row.method.title: row for row in table.rows}
    theirs = stats.ttest_rel(EA, KD).confidence_interval(0.95)
    gain = found["transkd_ea"].gain
    assert gain is not None
    assert (gain.mean, gain.low, gain.high) == pytest.approx((np.mean(EA) - np.mean(KD), theirs.low, theirs.high))
    assert found["transkd_ea"].class_gains["road"] == pytest.approx(np.mean(EA) - np.mean(KD))
    plain = found["plain student"].gain
    assert plain is not None
    assert plain.mean == pytest.approx(np.mean(NONE) - np.mean(KD))
    assert [title for title, row in found.items() if row.gain is None] == ["teacher mit_b2", "kd"]
    assert {title: row.recovered for title, row in found.items()} == {t: row.recovered for t, row in rows.items()}
    assert "Gains are over kd; the share of the gap is that between the plain student and its teacher." in table.notes
    assert "Worse than kd: cwd." in table.notes
    assert "gain over kd." in latex(table, 0.95)
    lines = {line["method"]: line["gain_over"] for line in csv.DictReader(io.StringIO(table_csv(table)))}
    assert lines == {"teacher mit_b2": "", "plain student": "kd", "transkd_ea": "kd", "kd": "", "cwd": "kd"}


def test_gains_over_a_method_without_a_plain_student(make: Maker) -> None:
    for seed, miou in enumerate((0.40, 0.41)):
        make("kd", seed, miou, overrides=("teacher.weights=random",))
        make("cwd", seed, miou + 0.1, overrides=("teacher.weights=random",))
    (table,) = build_report(ReportOptions(("runs",), baseline="kd")).tables
    assert {row.method.title: row.gain.mean for row in table.rows if row.gain} == {"cwd": pytest.approx(0.1)}
    assert not any("absent" in note for note in table.notes)
    assert "Gains are over kd." in table.notes


def test_a_baseline_has_to_be_one(field: Path) -> None:
    with pytest.raises(ConfigError, match=r"baseline=transkd_e: no method has this title; did you mean 'transkd_ea'\?"):
        build_report(ReportOptions(("runs",), baseline="transkd_e"))
    with pytest.raises(ConfigError, match=r"baseline=\?\*d is \w+ and \w+ of one network: name one of them"):
        build_report(ReportOptions(("runs",), baseline="?*d"))
    with pytest.raises(ConfigError, match=r"baseline=teacher mit_b2: no method has this title"):
        build_report(ReportOptions(("runs",), baseline="teacher mit_b2"))


def test_csv_and_json_hold_the_numbers(field: Path, rows: dict[str, Row]) -> None:
    report = build_report(ReportOptions(("runs",)))
    lines = {line["method"]: line for line in csv.DictReader(io.StringIO(table_csv(report.tables[0])))}
    assert list(lines) == list(rows)
    line, row = lines["transkd_ea"], rows["transkd_ea"]
    assert row.gain is not None
    assert float(line["miou"]) == row.miou.mean
    assert float(line["gain_low"]) == row.gain.low
    assert line["gain_verdict"] == "above the noise"
    assert line["seeds"] == "0 1 2"
    assert (lines["plain student"]["gain"], lines["plain student"]["losses_share"]) == ("", "")
    values = json.loads(report_json(report))
    (table,) = values["tables"]
    assert [one["method"] for one in table["rows"]] == list(rows)
    assert table["rows"][2]["gain"]["high"] == row.gain.high
    assert table["rows"][2]["per_class"]["sign symbol"] is None
    assert table["rows"][2]["teachers"] == ["runs/teacher-s0"]
    assert [run["miou"] for run in table["rows"][2]["runs"]] == list(EA)
    assert table["data"] == {"count": 5, "sha256": "ab" * 32}
