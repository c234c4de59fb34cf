"""The numbers of a table: scores over seeds, gains over a baseline, the share of the gap, and costs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import Literal

import numpy as np

from transkd.reporting.methods import Method, find_baselines
from transkd.runs.finished import Run

How = Literal["paired", "unpaired", "none"]
Verdict = Literal["above the noise", "below the noise", "within the noise", "unknown"]
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)


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
        verdict: whether the interval covers 0; ``"unknown"`` without one.
    """

    mean: float
    low: float | None
    high: float | None
    how: How
    seeds: tuple[int, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What the interval says of the sign."""
        if self.low is None or self.high is None:
            return "unknown"
        if self.low <= 0 <= self.high:
            return "within the noise"
        return "above the noise" if self.low > 0 else "below the noise"


def t_cdf(t: float, degrees: float) -> float:
    """Return P(T <= t) for Student's t, by quadrature after the substitution t = sqrt(degrees) tan(angle)."""
    end = math.atan(abs(t) / math.sqrt(degrees))
    angles = end * (_NODES + 1) / 2
    area = end / 2 * float(np.sum(_WEIGHTS * np.cos(angles) ** (degrees - 1)))
    log_beta = math.lgamma(0.5) + math.lgamma(degrees / 2) - math.lgamma((degrees + 1) / 2)
    half = area / math.exp(log_beta)
    return 0.5 + math.copysign(min(half, 0.5), t)


def t_quantile(probability: float, degrees: float) -> float:
    """Return the t that P(T <= t) = ``probability`` holds for, by bisection.

    Args:
        probability: above 0.5 and below 1.
        degrees: of freedom, 1 or more, whole or not.
    """
    low, high = 0.0, 1.0
    while t_cdf(high, degrees) < probability:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, degrees) < probability else (low, middle)
    return (low + high) / 2


def paired_seeds(ours: Iterable[int], plain: Iterable[int]) -> tuple[int, ...]:
    """Return the seeds that both have, sorted; none where that is one alone, which says nothing of the noise."""
    common = sorted(set(ours) & set(plain))
    return tuple(common) if len(common) > 1 else ()


def difference(ours: Mapping[int, float], plain: Mapping[int, float], confidence: float) -> Difference:
    """Compare the mean of ``ours`` with that of ``plain``, each seed -> value.

    Where both have two seeds or more in common, those are compared, and the interval is Student's on the differences
    seed by seed; else all values are, with Welch's interval (1947, degrees of freedom by Satterthwaite) where both have
    two or more, else none.
    """
    tail = (1 + confidence) / 2
    if seeds := paired_seeds(ours, plain):
        differences = [ours[seed] - plain[seed] for seed in seeds]
        mean = fmean(differences)
        half = t_quantile(tail, len(seeds) - 1) * stdev(differences) / math.sqrt(len(seeds))
        return Difference(mean, mean - half, mean + half, "paired", seeds)
    mean = fmean(ours.values()) - fmean(plain.values())
    if min(len(ours), len(plain)) < 2:
        return Difference(mean, None, None, "none")
    shares = [stdev(list(values.values())) ** 2 / len(values) for values in (ours, plain)]
    error = math.sqrt(sum(shares))
    if error == 0:
        return Difference(mean, mean, mean, "unpaired")
    degrees = sum(shares) ** 2 / sum(s**2 / (len(v) - 1) for s, v in zip(shares, (ours, plain), strict=True))
    half = t_quantile(tail, degrees) * error
    return Difference(mean, mean - half, mean + half, "unpaired")


@dataclass(frozen=True)
class Costs:
    """What a method costs: its network, and its training as a mean over seeds; None where no run says.

    Attributes:
        params: parameters.
        gmacs: 1e9 multiply-accumulates an image.
        latency_ms: an image; the median over all runs of this network on these devices.
        steps: optimiser steps.
        seconds: of training, validations included.
        images_per_second: in training.
        peak_memory_mb: of training, the largest over seeds.
        losses_share: share of a training step's time that the distillation losses take.
        adapter_parameters: parameters that train beside the student and leave with the losses.
    """

    params: int
    gmacs: float | None
    latency_ms: float | None
    steps: float | None
    seconds: float | None
    images_per_second: float | None
    peak_memory_mb: float | None
    losses_share: float | None
    adapter_parameters: int | None


@dataclass(frozen=True)
class Row:
    """A method's numbers, shares in [0, 1].

    Attributes:
        method: the runs behind it.
        miou, pixel_accuracy: over seeds.
        baseline: what it is compared with, of the same network: the plain student, or the method that was named; None
            for that itself, or without one.
        gain: of the mean IoU over the baseline.
        recovered: share of the gap between plain student and teacher; None where one of the two is not there, or the
            teacher is not above the plain student.
        per_class: class -> mean IoU over the seeds that have it; None where none has.
        class_gains: class -> gain over the baseline.
        costs: of network and training.
    """

    method: Method
    miou: Spread
    pixel_accuracy: Spread | None
    baseline: Method | None
    gain: Difference | None
    recovered: float | None
    per_class: dict[str, float | None]
    class_gains: dict[str, float | None]
    costs: Costs


def build_rows(methods: Sequence[Method], confidence: float, baseline: str = "") -> tuple[Row, ...]:
    """Return a row for each method.

    Args:
        methods: of one table.
        confidence: of the intervals, such as 0.95.
        baseline: title of the method that gains are over; empty for the plain student.

    Raises:
        ConfigError: two methods of a network are of that title.
    """
    runs = [run for method in methods for run in (*method.runs, *method.repeats)]
    plain, bases = find_baselines(methods, ""), find_baselines(methods, baseline)
    return tuple(
        _row(method, plain.get(method.student), bases.get(method.student), runs, confidence) for method in methods
    )


def _row(method: Method, plain: Method | None, baseline: Method | None, runs: Sequence[Run], confidence: float) -> Row:
    accuracies = [run.results.pixel_accuracy for run in method.runs if run.results.pixel_accuracy is not None]
    classes = _class_means(method.runs)
    compared = baseline if method.kind != "teacher" and method is not baseline else None
    ours, theirs = _compared_runs(method, compared)
    our_classes, their_classes = _class_means(ours), _class_means(theirs)
    return Row(
        method,
        Spread.of([run.miou for run in method.runs]),
        Spread.of(accuracies) if accuracies else None,
        compared,
        difference(_mious(method), _mious(compared), confidence) if compared else None,
        _recovered(method, plain),
        classes,
        {name: _minus(our_classes.get(name), their_classes.get(name)) for name in classes} if compared else {},
        _costs(method, runs),
    )


def _mious(method: Method) -> dict[int, float]:
    return {run.seed: run.miou for run in method.runs}


def _recovered(method: Method, plain: Method | None) -> float | None:
    if plain is None or method.kind != "distilled" or not method.teachers:
        return None
    ours, theirs = _compared_runs(method, plain)
    floor = fmean(run.miou for run in theirs)
    gap = fmean(run.miou for run in method.teachers) - floor
    return (fmean(run.miou for run in ours) - floor) / gap if gap > 0 else None


def _compared_runs(method: Method, other: Method | None) -> tuple[Sequence[Run], Sequence[Run]]:
    """Return the runs of two methods that a gain is of: those of the seeds that both have, or else all."""
    if other is None:
        return method.runs, ()
    seeds = paired_seeds(_mious(method), _mious(other))
    both = (method.runs, other.runs)
    return tuple([run for run in runs if run.seed in seeds] for runs in both) if seeds else both  # type: ignore[return-value]


def _class_means(runs: Sequence[Run]) -> dict[str, float | None]:
    names = dict.fromkeys(name for run in runs for name in run.results.per_class)
    values = {name: [run.results.per_class.get(name) for run in runs] for name in names}
    return {name: _mean(of_runs) for name, of_runs in values.items()}


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _costs(method: Method, runs: Sequence[Run]) -> Costs:
    first = method.runs[0].results
    devices = {run.results.device for run in method.runs}
    alike = [run for run in runs if run.results.params == first.params and run.results.gmacs == first.gmacs]
    latencies = [run.results.latency_ms for run in alike if run.results.device in devices]
    training = [run.results.training for run in method.runs]
    losses = [run.results.distillation_cost for run in method.runs if run.results.distillation_cost]
    peaks = _known(t.peak_memory_mb for t in training)
    return Costs(
        first.params,
        first.gmacs,
        median(known) if (known := _known(latencies)) else None,
        _mean(t.steps for t in training),
        _mean(t.seconds for t in training),
        _mean(t.images_per_second for t in training),
        max(peaks) if peaks else None,
        _mean(cost.losses_share for cost in losses),
        next((cost.adapter_parameters for cost in losses if cost.adapter_parameters is not None), None),
    )


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Iterable[float | None]) -> float | None:
    known = _known(values)
    return fmean(known) if known else None
