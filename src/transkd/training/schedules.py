"""What changes over a training: the learning rate, and the weight of each distillation loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import BeforeValidator, Field, model_validator
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from transkd.errors import ConfigError
from transkd.options import Section


class Schedule(Protocol):
    """What a LightningModule asks of a learning-rate schedule."""

    @property
    def interval(self) -> Literal["step", "epoch"]:
        """How often the learning rate changes."""

    def bind(self, optimizer: Optimizer, total_steps: float) -> LRScheduler:
        """Return the torch scheduler for a training of ``total_steps`` optimiser steps, inf where unknown."""


@dataclass(frozen=True)
class LinearEpochDecay:
    """TransKD's recipe: linear decay to zero, stepped once an epoch.

    Attributes:
        epochs: where zero would be reached; the paper's code decays over 1500 epochs and stops at 1000.
    """

    epochs: int = 1500
    interval: Literal["epoch"] = "epoch"

    def bind(self, optimizer: Optimizer, total_steps: float) -> LRScheduler:
        """Return the scheduler, which does not depend on ``total_steps``."""
        del total_steps
        return LambdaLR(optimizer, lambda epoch: max(0.0, 1.0 - epoch / self.epochs))


@dataclass(frozen=True)
class PolyWarmUp:
    """The field's standard: linear warm-up, then polynomial decay to zero at the end of training, every step.

    Attributes:
        power: exponent of the decay.
        warm_up: share of all steps that warms up, in [0, 1).
        start: factor of the learning rate at the first step of the warm-up.
    """

    power: float = 1.0
    warm_up: float = 0.05
    start: float = 0.01
    interval: Literal["step"] = "step"

    def bind(self, optimizer: Optimizer, total_steps: float) -> LRScheduler:
        """Return the scheduler for ``total_steps`` optimiser steps.

        Raises:
            ConfigError: where the number of steps is not known.
        """
        require_length(total_steps, "the learning-rate schedule")
        warm_up_steps = round(self.warm_up * total_steps)

        def factor(step: int) -> float:
            if step < warm_up_steps:
                return self.start + (1.0 - self.start) * step / warm_up_steps
            left = (total_steps - step) / max(1, total_steps - warm_up_steps)
            return float(max(0.0, left) ** self.power)

        return LambdaLR(optimizer, factor)


def unknown_length(what: str) -> str:
    """Return the message that ``what`` spans a training of an unknown number of optimiser steps."""
    return (
        f"{what} spans the training, whose length is unknown: give trainer.max_epochs or trainer.max_steps "
        "(trainer.max_time may end it earlier)"
    )


def require_length(total_steps: float, what: str) -> None:
    """Raise a ConfigError where the number of optimiser steps is infinite, and ``what`` spans them."""
    if math.isinf(total_steps):
        raise ConfigError(unknown_length(what))


ROUNDING = 1e-9

# Strict: true is no share of a training.
Fraction = Annotated[float, Field(ge=0, le=1, strict=True)]
Begin = Annotated[float, Field(ge=0, lt=1, strict=True)]
Span = Annotated[float, Field(gt=0, le=1, strict=True)]


class Constant(Section):
    """The same weight at every step."""

    name: Literal["constant"] = "constant"

    def factor(self, done: float) -> float:
        """Return 1 for any share ``done`` of the training."""
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
    """Linear from ``start`` to 1 between the shares ``begin`` and ``begin + share`` of the training's steps."""

    name: Literal["warm_up"] = "warm_up"
    share: Span = 0.1
    start: Fraction = 0.0

    def factor(self, done: float) -> float:
        """Return what the weight is multiplied with after a share ``done`` of the training."""
        return self.start + (1.0 - self.start) * self._progress(done)


class Decay(_Change):
    """From 1 to ``end`` between the shares ``begin`` and ``begin + share`` of the training's steps.

    Without ``share`` it lasts until the end. Its shape is linear, or half a period of a cosine.
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
        """Return what the weight is multiplied with after a share ``done`` of the training."""
        progress = self._progress(done)
        fallen = (1.0 - math.cos(math.pi * progress)) / 2.0 if self.shape == "cosine" else progress
        return 1.0 - (1.0 - self.end) * fallen


@dataclass(frozen=True)
class LossWeight:
    """A loss's weight, a pure function of the optimiser step.

    Attributes:
        base: the weight that the schedules' factors multiply.
        schedules: none for a constant weight.
    """

    base: float
    schedules: tuple[Constant | WarmUp | Decay, ...] = ()

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
    if not all(isinstance(item, Mapping | Section) for item in items):
        raise ValueError("give {name: warm_up|decay|constant, …} or a list of such")
    return items


class Weighing(Section):
    """What stands beside a loss's own options: its weight in the sum, and schedules whose factors multiply it."""

    weight: Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)] = 1.0
    schedule: Annotated[
        list[Annotated[Constant | WarmUp | Decay, Field(discriminator="name")]],
        BeforeValidator(_listed),
        Field(strict=False),
    ] = Field(default_factory=list)

    def loss_weight(self) -> LossWeight:
        """Return the weight as a function of the optimiser step."""
        return LossWeight(self.weight, tuple(self.schedule))


def own_options(setting: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the loss itself among those of its setting."""
    return {key: value for key, value in setting.items() if key not in Weighing.model_fields}
