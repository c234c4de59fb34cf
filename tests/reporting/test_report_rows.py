"""The numbers of a report, each computed again from the scores that went in, by numpy, by scipy's tests or by hand."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from made_runs import TAUGHT, Maker, report
from scipy import stats

from transkd.reporting.files import latex, numbers, report_json, table_csv
from transkd.reporting.rows import Row, Spread, difference

NONE, EA, KD = (0.400, 0.410, 0.405), (0.502, 0.508, 0.511), (0.410, 0.405, 0.409)
PLAIN = {0: 0.401, 1: 0.412, 2: 0.396, 3: 0.405}
OURS = {0: 0.431, 1: 0.425, 2: 0.433, 3: 0.420}
RANDOM = ("teacher.weights=random",)


@pytest.fixture
def rows(field: Path) -> dict[str, Row]:
    """Return the rows of the field by title."""
    return {row.method.title: row for row in report().tables[0].rows}


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.9999])
@pytest.mark.parametrize("more", [{}, {7: 0.9}])
def test_common_seeds_are_paired(confidence: float, more: dict[int, float]) -> None:
    """A seed more on one side takes nothing away: it is left out."""
    found = difference(dict(reversed(OURS.items())) | more, PLAIN, confidence)
    theirs = stats.ttest_rel(list(OURS.values()), list(PLAIN.values())).confidence_interval(confidence)
    assert (found.how, found.seeds) == ("paired", (0, 1, 2, 3))
    assert found.mean == pytest.approx(np.mean(list(OURS.values())) - np.mean(list(PLAIN.values())))
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)


@pytest.mark.parametrize("plain", [{5: 0.401, 6: 0.412, 7: 0.396}, {0: 0.401, 9: 0.412}])
def test_seeds_that_do_not_pair_are_compared_by_welch(plain: dict[int, float]) -> None:
    found = difference(OURS, plain, 0.95)
    theirs = stats.ttest_ind(list(OURS.values()), list(plain.values()), equal_var=False).confidence_interval(0.95)
    assert found.how == "unpaired"
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)


@pytest.mark.parametrize(("ours", "plain"), [({0: 0.5}, {0: 0.4}), ({0: 0.5}, PLAIN), (OURS, {0: 0.4})])
def test_one_seed_has_no_interval(ours: dict[int, float], plain: dict[int, float]) -> None:
    found = difference(ours, plain, 0.95)
    assert (found.low, found.high, found.how, found.verdict) == (None, None, "none", "unknown")
    assert found.mean == pytest.approx(sum(ours.values()) / len(ours) - sum(plain.values()) / len(plain))


def test_verdicts() -> None:
    assert difference(OURS, {seed: miou - 0.1 for seed, miou in PLAIN.items()}, 0.95).verdict == "above the noise"
    assert difference(OURS, {seed: miou + 0.1 for seed, miou in PLAIN.items()}, 0.95).verdict == "below the noise"
    assert difference(PLAIN, PLAIN, 0.95).verdict == "within the noise"
    equal = difference({0: 0.5, 1: 0.5}, {2: 0.4, 3: 0.4}, 0.95)
    assert (equal.low, equal.high) == pytest.approx((0.1, 0.1)), "no deviation on either side"
    assert Spread.of([1.0, 2.0, 3.0, 4.0]) == Spread(2.5, pytest.approx(math.sqrt(5 / 3)), 4)


def test_means_deviations_gains_and_gap(rows: dict[str, Row]) -> None:
    assert list(rows) == ["teacher mit_b2", "plain student", "transkd_ea", "kd", "cwd"], "the best first"
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
    assert (row.per_class["sign symbol"], row.class_gains["sign symbol"]) == (None, None)
    assert row.class_gains["road"] == pytest.approx(np.mean(EA) - np.mean(NONE))


def test_latency_is_of_a_network_on_a_machine(make: Maker) -> None:
    """Three runs of one network took 8, 9 and 30 ms: noise of the machine, not of the method."""
    for seed, (method, latency) in enumerate((("none", 8.0), ("kd", 9.0), ("cwd", 30.0))):
        make(method, seed, overrides=() if method == "none" else RANDOM, results={"latency_ms": latency})
    make("mgd", overrides=RANDOM, results={"latency_ms": 2.0, "device": "NVIDIA H200"})
    (table,) = report().tables
    assert sorted(numbers(row)["costs"]["latency_ms"] for row in table.rows) == [2.0, 9.0, 9.0, 9.0]
    assert any(note.startswith("Latency is the median over all runs of the same network") for note in table.notes)
    assert any(note.startswith("The runs were made on different machines") for note in table.notes)


def test_a_gain_is_of_the_seeds_that_both_have(make: Maker) -> None:
    make.teacher(miou=0.7)
    for seed, miou in ((0, 0.30), (1, 0.40), (2, 0.50), (3, 0.36)):
        make("none", seed, miou)
    for seed, miou in ((0, 0.32), (1, 0.42), (2, 0.52)):
        make("kd", seed, miou, overrides=TAUGHT)
    (table,) = report().tables
    row = table.rows[-1]
    assert row.gain is not None
    assert (row.gain.mean, row.gain.seeds) == (pytest.approx(0.02), (0, 1, 2))
    assert row.recovered == pytest.approx(0.02 / (0.7 - 0.4)), "of the gap between the teacher and those seeds"
    assert "kd: gain and interval are of seeds 0, 1, 2 alone, which both have." in table.notes


def test_gains_over_a_method_that_is_named(field: Path, rows: dict[str, Row]) -> None:
    (table,) = report(baseline="k?").tables
    found = {row.method.title: row for row in table.rows}
    theirs = stats.ttest_rel(EA, KD).confidence_interval(0.95)
    gain = found["transkd_ea"].gain
    assert gain is not None
    assert (gain.mean, gain.low, gain.high) == pytest.approx((np.mean(EA) - np.mean(KD), theirs.low, theirs.high))
    assert found["transkd_ea"].class_gains["road"] == pytest.approx(np.mean(EA) - np.mean(KD))
    assert [title for title, row in found.items() if row.gain is None] == ["teacher mit_b2", "kd"]
    assert {title: row.recovered for title, row in found.items()} == {t: row.recovered for t, row in rows.items()}
    assert "Gains are over kd; the share of the gap is that between the plain student and its teacher." in table.notes
    assert "Worse than kd: cwd." in table.notes
    assert "gain over kd." in latex(table, 0.95)
    lines = {line["method"]: line["gain_over"] for line in csv.DictReader(io.StringIO(table_csv(table)))}
    assert lines == {"teacher mit_b2": "", "plain student": "kd", "transkd_ea": "kd", "kd": "", "cwd": "kd"}


def test_gains_without_a_plain_student(make: Maker) -> None:
    for seed, miou in enumerate((0.40, 0.41)):
        make("kd", seed, miou, overrides=RANDOM)
        make("cwd", seed, miou + 0.1, overrides=RANDOM)
    (table,) = report().tables
    assert any(note.startswith("Gains are absent where there is no plain student of the same") for note in table.notes)
    assert [row.gain.mean for row in report(baseline="kd").tables[0].rows if row.gain] == pytest.approx([0.1])


def test_csv_and_json_hold_the_numbers(rows: dict[str, Row]) -> None:
    found = report()
    lines = {line["method"]: line for line in csv.DictReader(io.StringIO(table_csv(found.tables[0])))}
    (table,) = json.loads(report_json(found))["tables"]
    assert list(lines) == [one["method"] for one in table["rows"]] == list(rows)
    line, row = lines["transkd_ea"], rows["transkd_ea"]
    assert row.gain is not None
    assert (float(line["miou"]), float(line["gain_low"])) == (row.miou.mean, row.gain.low)
    assert (line["gain_verdict"], line["seeds"]) == ("above the noise", "0 1 2")
    assert (lines["plain student"]["gain"], lines["plain student"]["losses_share"]) == ("", "")
    values = table["rows"][2]
    assert (values["gain"]["high"], values["per_class"]["sign symbol"]) == (row.gain.high, None)
    assert values["teachers"] == ["runs/teacher-s0"]
    assert [run["miou"] for run in values["runs"]] == list(EA)
    assert table["data"] == {"count": 5, "sha256": "ab" * 32}
