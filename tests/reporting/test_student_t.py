"""Intervals against scipy, and against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from transkd.reporting.rows import Spread, difference

PLAIN = {0: 0.401, 1: 0.412, 2: 0.396, 3: 0.405}
OURS = {0: 0.431, 1: 0.425, 2: 0.433, 3: 0.420}


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_paired_by_seed_is_scipys(confidence: float) -> None:
    found = difference(OURS, PLAIN, confidence)
    theirs = stats.ttest_rel(list(OURS.values()), list(PLAIN.values())).confidence_interval(confidence)
    assert found.how == "paired"
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)
    shuffled = dict(reversed(OURS.items()))
    assert difference(shuffled, PLAIN, confidence) == pytest.approx(found)


def test_a_paired_interval_by_hand() -> None:
    """Differences 1, 2, 3: mean 2, deviation 1, and 4.3027 from a printed table of t for two degrees of freedom."""
    found = difference({0: 2.0, 1: 4.0, 2: 6.0}, {0: 1.0, 1: 2.0, 2: 3.0}, 0.95)
    half = 4.302653 / math.sqrt(3)
    assert found.mean == 2
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), abs=1e-6)
    assert found.verdict == "within the noise"


def test_the_seeds_that_both_have_are_paired() -> None:
    """A seed more on one side takes nothing away: its mean is not one of other seeds."""
    plain = {0: 0.30, 1: 0.40, 2: 0.50, 3: 0.35}
    ours = {0: 0.3201, 1: 0.4199, 2: 0.5203, 7: 0.9}
    found = difference(ours, plain, 0.95)
    theirs = stats.ttest_rel([ours[s] for s in (0, 1, 2)], [plain[s] for s in (0, 1, 2)]).confidence_interval(0.95)
    assert (found.how, found.seeds) == ("paired", (0, 1, 2))
    assert found.mean == pytest.approx(0.0201)
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
    assert (equal.low, equal.high) == pytest.approx((0.1, 0.1))


def test_spread() -> None:
    assert Spread.of([1.0, 2.0, 3.0, 4.0]) == Spread(2.5, pytest.approx(math.sqrt(5 / 3)), 4)
    assert Spread.of([2.0]) == Spread(2.0, None, 1)
