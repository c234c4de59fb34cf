"""The weight of a distillation loss over a training: constant, warming up, decaying, or a product of these."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from transkd.options import Section

ROUNDING = 1e-9

# Strict: true is no share of a training.
Fraction = Annotated[float, Field(ge=0, le=1, strict=True)]
Begin = Annotated[float, Field(ge=0, lt=1, strict=True)]
Span = Annotated[float, Field(gt=0, le=1, strict=True)]


class Constant(Section):
    """The same weight all along."""

    name: Literal["constant"] = "constant"

    def factor(self, done: float) -> float:
        """Return what the weight is multiplied with when a share ``done`` of the training is."""
        del done
        return 1.0


class _Change(Section):
    """A factor that goes from one value to another over a part of the training, and stays at each outside of it."""

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


def _listed(schedule: Any) -> Any:
    items = [] if schedule is None else list(schedule) if isinstance(schedule, list | tuple) else [schedule]
    for item in items:
        if not isinstance(item, Mapping | Section):
            raise ValueError("give {name: warm_up|decay|constant, …} or a list of such")
    return items


class Weighing(Section):
    """What stands beside a loss's own options.

    Attributes:
        weight: what the loss is multiplied with in the sum.
        schedule: what the weight is multiplied with over the training; a list's factors are multiplied.
    """

    weight: Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)] = 1.0
    schedule: Annotated[
        list[Annotated[WeightSchedule, Field(discriminator="name")]], BeforeValidator(_listed), Field(strict=False)
    ] = Field(default_factory=list)

    def loss_weight(self) -> LossWeight:
        """Return the weight as a function of the optimiser step."""
        return LossWeight(self.weight, tuple(self.schedule))


def own_options(setting: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the loss itself among those of its setting."""
    return {key: value for key, value in setting.items() if key not in Weighing.model_fields}
