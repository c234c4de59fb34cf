"""Means over seeds and what may be said of their differences, by Student's t."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

import numpy as np

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
