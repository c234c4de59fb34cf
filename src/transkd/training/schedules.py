"""Learning-rate schedules, each a small setting that is bound to an optimiser when training starts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from transkd.errors import ConfigError


class Schedule(Protocol):
    """What a LightningModule asks of a schedule."""

    @property
    def interval(self) -> Literal["step", "epoch"]:
        """How often the learning rate changes."""

    def bind(self, optimizer: Optimizer, total_steps: float) -> LRScheduler:
        """Return the torch scheduler for a training of ``total_steps`` optimiser steps, inf where nobody knows."""


@dataclass(frozen=True)
class LinearEpochDecay:
    """TransKD's recipe: linear decay to zero, stepped once an epoch.

    Attributes:
        epochs: where zero would be reached; the paper's code decays over 1500 epochs and stops at 1000.
    """

    epochs: int = 1500
    interval: Literal["epoch"] = "epoch"

    def bind(self, optimizer: Optimizer, total_steps: float) -> LRScheduler:
        """Return the scheduler; ``total_steps`` is not used, the decay's length is part of the recipe."""
        del total_steps
        epochs = self.epochs
        return LambdaLR(optimizer, lambda epoch: max(0.0, 1.0 - epoch / epochs))


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
        if math.isinf(total_steps):
            raise ConfigError(
                "the learning-rate schedule spans the training, whose length is unknown: give the Trainer max_epochs "
                "or max_steps (max_time may end it earlier)"
            )
        warm_up_steps = round(self.warm_up * total_steps)

        def factor(step: int) -> float:
            if step < warm_up_steps:
                return self.start + (1.0 - self.start) * step / warm_up_steps
            left = (total_steps - step) / max(1, total_steps - warm_up_steps)
            return float(max(0.0, left) ** self.power)

        return LambdaLR(optimizer, factor)
