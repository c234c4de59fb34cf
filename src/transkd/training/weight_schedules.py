"""The weight of a distillation loss over a training: constant, warming up, decaying, or a product of these."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from transkd.errors import ConfigError
from transkd.training.problems import Problem, mistakes, schema_problems, shown

WEIGHING = ("weight", "schedule")
"""Keys of a loss's setting that are no options of the loss."""

ROUNDING = 1e-9

# Strict: true is no share of a training.
Fraction = Annotated[float, Field(ge=0, le=1, strict=True)]
Begin = Annotated[float, Field(ge=0, lt=1, strict=True)]
Span = Annotated[float, Field(gt=0, le=1, strict=True)]


class Constant(BaseModel):
    """The same weight all along."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["constant"] = "constant"

    def factor(self, done: float) -> float:
        """Return what the weight is multiplied with when a share ``done`` of the training is."""
        del done
        return 1.0


class _Change(BaseModel):
    """A factor that goes from one value to another over a part of the training, and stays at each outside of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    begin: Begin = 0.0
    share: Span = 1.0

    @model_validator(mode="after")
    def _ends_with_the_training(self) -> Self:
        if self.begin + self.share > 1 + ROUNDING:
            raise ValueError(
                f"begin and share are shares of the training and may add up to 1 (they are {self.begin:g} and "
                f"{self.share:g})"
            )
        return self

    def _progress(self, done: float) -> float:
        return min(1.0, max(0.0, (done - self.begin) / self.share))


class WarmUp(_Change):
    """Linear from ``start`` to 1 between the shares ``begin`` and ``begin + share`` of the training.

    Attributes:
        begin: share of the training's steps before the factor rises.
        share: share of the steps over which it does.
        start: the factor until then.
    """

    name: Literal["warm_up"] = "warm_up"
    share: Span = 0.1
    start: Fraction = 0.0

    def factor(self, done: float) -> float:
        """Return what the weight is multiplied with when a share ``done`` of the training is."""
        return self.start + (1.0 - self.start) * self._progress(done)


class Decay(_Change):
    """From 1 to ``end`` between the shares ``begin`` and ``begin + share`` of the training.

    Attributes:
        begin: share of the training's steps before the factor falls.
        share: share of the steps over which it does; what ``begin`` leaves of the training if it is not given.
        end: the factor from then on.
        shape: ``"linear"``, or ``"cosine"`` for half a period of it.
    """

    name: Literal["decay"] = "decay"
    end: Fraction = 0.0
    shape: Literal["linear", "cosine"] = "linear"

    @model_validator(mode="before")
    @classmethod
    def _until_the_end(cls, values: Any) -> Any:
        begin = values.get("begin") if isinstance(values, Mapping) else None
        if isinstance(begin, int | float) and 0 <= begin < 1 and "share" not in values:
            return {**values, "share": 1.0 - begin}
        return values

    def factor(self, done: float) -> float:
        """Return what the weight is multiplied with when a share ``done`` of the training is."""
        progress = self._progress(done)
        fallen = (1.0 - math.cos(math.pi * progress)) / 2.0 if self.shape == "cosine" else progress
        return 1.0 - (1.0 - self.end) * fallen


WeightSchedule = Constant | WarmUp | Decay


class _Item(BaseModel):
    schedule: Annotated[WeightSchedule, Field(discriminator="name")]


@dataclass(frozen=True)
class LossWeight:
    """A loss's weight, a pure function of the optimiser step.

    Attributes:
        base: the weight that the schedules' factors multiply.
        schedules: none for a constant weight.
    """

    base: float
    schedules: tuple[WeightSchedule, ...] = ()

    @property
    def is_constant(self) -> bool:
        """Whether it is the same at every step."""
        return all(isinstance(schedule, Constant) for schedule in self.schedules)

    def at(self, step: int, total_steps: float) -> float:
        """Return the weight of a step, from 0, in a training of ``total_steps`` optimiser steps."""
        done = step / total_steps if total_steps else 1.0
        return self.base * math.prod(schedule.factor(done) for schedule in self.schedules)

    def __str__(self) -> str:
        """Return it as a table shows it."""
        return " x ".join([f"{self.base:g}", *(s.name for s in self.schedules if not isinstance(s, Constant))])


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number with more digits than a float has
        return False


def weight_problems(path: str, weight: object, schedule: object) -> Iterator[Problem]:
    """Yield what is wrong with a loss's weight and its schedule.

    Args:
        path: of the loss in the config.
        weight: a number, 0 or more.
        schedule: a mapping with a ``name``, a list of such, or None for a constant weight.
    """
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not _is_finite(weight):
        yield Problem(f"{path}.weight", f"give a number (it is {shown(weight)})")
    elif weight < 0:
        yield Problem(f"{path}.weight", f"give 0 or more (it is {shown(weight)})")
    for place, item in _items(schedule):
        where = f"{path}.schedule{place}"
        if not isinstance(item, Mapping):
            yield Problem(where, f"give {{name: warm_up|decay|constant, …}} or a list of such (it is {shown(item)})")
            continue
        for problem in schema_problems(_Item, {"schedule": item}):
            yield Problem(f"{where}{problem.path.removeprefix('schedule')}", problem.message)


def read_weight(name: str, weight: Any, schedule: Any) -> LossWeight:
    """Return the weight of the loss ``name``.

    Raises:
        ConfigError: listing what :func:`weight_problems` finds.
    """
    problems = list(weight_problems(f"losses.{name}", weight, schedule))
    if problems:
        raise ConfigError(str(problems[0]) if len(problems) == 1 else mistakes(problems))
    schedules = (_Item.model_validate({"schedule": item}).schedule for _, item in _items(schedule))
    return LossWeight(float(weight), tuple(schedules))


def _items(schedule: object) -> list[tuple[str, object]]:
    if schedule is None:
        return []
    if isinstance(schedule, list | tuple):
        return [(f".{number}", item) for number, item in enumerate(schedule)]
    return [("", schedule)]
