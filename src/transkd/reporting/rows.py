"""The numbers of a table: scores over seeds, gains over a baseline with their intervals, and the share of the gap."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from scipy import stats

from transkd.reporting.methods import Method, find_baselines
from transkd.runs.finished import Run

Verdict = Literal["above the noise", "below the noise", "within the noise", "unknown"]


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n - 1) of some values; no deviation for one value."""

    mean: float
    std: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of one value or more."""
        return cls(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


@dataclass(frozen=True)
class Difference:
    """A difference of two means.

    Attributes:
        mean: the difference.
        low, high: ends of its confidence interval; None where there are too few values.
        how: ``"paired"`` by seed, ``"unpaired"`` by Welch, or ``"none"``.
        seeds: those that were paired.
    """

    mean: float
    low: float | None
    high: float | None
    how: Literal["paired", "unpaired", "none"]
    seeds: tuple[int, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Whether the interval covers 0; unknown without one."""
        if self.low is None or self.high is None:
            return "unknown"
        if self.low <= 0 <= self.high:
            return "within the noise"
        return "above the noise" if self.low > 0 else "below the noise"


def paired_seeds(ours: Iterable[int], theirs: Iterable[int]) -> tuple[int, ...]:
    """Return the seeds that both have, sorted; none where that is one alone, which shows nothing of the noise."""
    common = sorted(set(ours) & set(theirs))
    return tuple(common) if len(common) > 1 else ()


def difference(ours: Mapping[int, float], theirs: Mapping[int, float], confidence: float) -> Difference:
    """Compare two means of values by seed.

    Where both have two seeds or more in common, those are compared, and the interval is Student's on the differences
    seed by seed; else all values are, with Welch's interval (1947, degrees of freedom by Satterthwaite) where both have
    two or more, else none.
    """
    tail = (1 + confidence) / 2
    if seeds := paired_seeds(ours, theirs):
        differences = [ours[seed] - theirs[seed] for seed in seeds]
        mean = fmean(differences)
        half = float(stats.t.ppf(tail, len(seeds) - 1)) * stdev(differences) / math.sqrt(len(seeds))
        return Difference(mean, mean - half, mean + half, "paired", seeds)
    mean = fmean(ours.values()) - fmean(theirs.values())
    if min(len(ours), len(theirs)) < 2:
        return Difference(mean, None, None, "none")
    shares = [stdev(values.values()) ** 2 / len(values) for values in (ours, theirs)]
    error = math.sqrt(sum(shares))
    if error == 0:
        return Difference(mean, mean, mean, "unpaired")
    degrees = sum(shares) ** 2 / sum(s**2 / (len(v) - 1) for s, v in zip(shares, (ours, theirs), strict=True))
    half = float(stats.t.ppf(tail, degrees)) * error
    return Difference(mean, mean - half, mean + half, "unpaired")


@dataclass(frozen=True)
class Row:
    """A method's numbers, shares in [0, 1]; its further scores and its costs are in :mod:`transkd.reporting.columns`.

    Attributes:
        method: the runs behind it.
        miou: over seeds.
        baseline: what it is compared with, of the same network; None for that itself, or without one.
        gain: of the mean IoU over the baseline.
        recovered: share of the gap between plain student and teacher; None without a gap.
        per_class: class -> mean IoU over the seeds that have it; None where none has.
        class_gains: class -> gain over the baseline.
        network_runs: all runs of the table with the same network on the same devices.
    """

    method: Method
    miou: Spread
    baseline: Method | None
    gain: Difference | None
    recovered: float | None
    per_class: dict[str, float | None]
    class_gains: dict[str, float | None]
    network_runs: tuple[Run, ...]


def build_rows(methods: Sequence[Method], confidence: float, baseline: str = "") -> tuple[Row, ...]:
    """Return a row for each method of a table; gains are over the method titled ``baseline``, or the plain student.

    Raises:
        ConfigError: two methods of a network have that title.
    """
    plain, baselines = find_baselines(methods, ""), find_baselines(methods, baseline)
    rows = []
    for method in methods:
        other = baselines.get(method.student)
        compared = None if method is other or method.kind == "teacher" else other
        per_class = class_means(method.runs)
        gain, class_gains = None, dict[str, float | None]()
        if compared:
            ours, theirs = map(class_means, compared_runs(method, compared))
            gain = difference(method.mious, compared.mious, confidence)
            for name in per_class:
                mine, its = ours.get(name), theirs.get(name)
                class_gains[name] = None if mine is None or its is None else mine - its
        recovered = gap_share(method, plain.get(method.student))
        miou, network_runs = Spread.of(list(method.mious.values())), same_network(method, methods)
        rows.append(Row(method, miou, compared, gain, recovered, per_class, class_gains, network_runs))
    return tuple(rows)


def compared_runs(*methods: Method) -> Iterator[list[Run]]:
    """Yield the runs of two methods that a gain is of: those of the seeds that both have, or else all."""
    seeds = paired_seeds(*(method.mious for method in methods))
    for method in methods:
        yield [run for run in method.runs if not seeds or run.seed in seeds]


def gap_share(method: Method, plain: Method | None) -> float | None:
    """Return the share of the gap between plain student and teacher that a distilled student recovers."""
    if plain is None or method.kind != "distilled" or not method.teachers:
        return None
    ours, theirs = compared_runs(method, plain)
    floor = fmean(run.miou for run in theirs)
    gap = fmean(run.miou for run in method.teachers) - floor
    return (fmean(run.miou for run in ours) - floor) / gap if gap > 0 else None


def class_means(runs: Sequence[Run]) -> dict[str, float | None]:
    """Return class -> mean IoU over the runs that have it."""
    names = dict.fromkeys(name for run in runs for name in run.results.per_class)
    values = {name: known(run.results.per_class.get(name) for run in runs) for name in names}
    return {name: fmean(ious) if ious else None for name, ious in values.items()}


def same_network(method: Method, methods: Sequence[Method]) -> tuple[Run, ...]:
    """Return the runs of all methods that have a method's network, and ran on one of its devices."""
    first, devices = method.runs[0].results, {run.results.device for run in method.runs}
    everyone = [run for other in methods for run in (*other.runs, *other.repeats)]
    same = (run for run in everyone if (run.results.params, run.results.gmacs) == (first.params, first.gmacs))
    return tuple(run for run in same if run.results.device in devices)


def known(values: Iterable[float | None]) -> list[float]:
    """Return the values that are not None."""
    return [value for value in values if value is not None]
