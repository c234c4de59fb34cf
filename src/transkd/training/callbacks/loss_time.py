"""What share of a distillation's step goes into the teacher and into the losses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor


class Stopwatch:
    """Add up the seconds of a training step's parts; on a GPU each part is waited for.

    Args:
        device: where the step is computed.

    Attributes:
        seconds: part -> seconds so far.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self._backward: float | None = None

    def now(self) -> float:
        """Return the time when the device has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def add(self, part: str, since: float) -> None:
        """Add the time since ``since`` to a part."""
        self.seconds[part] = self.seconds.get(part, 0.0) + self.now() - since

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Add what happens within the context to a part."""
        start = self.now()
        yield
        self.add(part, start)

    def start_backward(self) -> None:
        """Begin the part of the backward pass that :meth:`end_at_gradient_of` ends."""
        self._backward = self.now()

    def end_at_gradient_of(self, term: Tensor, part: str) -> None:
        """Add the backward pass up to ``term``'s own gradient to a part.

        Autograd runs what was computed last first: all that was computed after ``term`` is done by then.
        """

        def reached(_: Tensor) -> None:
            if self._backward is not None:
                self.add(part, self._backward)
                self._backward = None

        if term.requires_grad:
            term.register_hook(reached)  # type: ignore[no-untyped-call]


STEP = "step"


class LossTime(Callback):
    """Measure some early steps of a session: the teacher's pass, the losses forward and backward, and all of the step.

    Waiting for data is not part of a step. On a GPU the parts are waited for, in these steps only.

    Args:
        skip: optimiser steps before the first that is measured: those in which libraries tune and measure themselves.
        count: optimiser steps that are measured.
    """

    def __init__(self, skip: int = 5, count: int = 10) -> None:
        self.skip = skip
        self.count = count
        self._first = 0
        self._start = 0.0
        self._steps: set[int] = set()
        self._watch: Stopwatch | None = None
        self._running = False
        self._earlier: dict[str, Any] | None = None

    @property
    def facts(self) -> dict[str, Any] | None:
        """Shares of the step's time by part, and how many steps were measured; None before the first."""
        watch = self._watch
        if watch is None or not watch.seconds.get(STEP):
            return self._earlier
        shares = {f"{part}_share": watch.seconds.get(part, 0.0) / watch.seconds[STEP] for part in ("teacher", "losses")}
        return {**shares, "measured_steps": len(self._steps)}

    def state_dict(self) -> dict[str, Any]:
        """Return what was measured."""
        return {"facts": self.facts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep what was measured before for as long as nothing new is."""
        self._earlier = state_dict.get("facts")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count from here."""
        self._first = trainer.global_step

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        """Start the clock."""
        number = trainer.global_step - self._first - self.skip
        self._running = 0 <= number < self.count
        if not self._running:
            return
        self._watch = self._watch or Stopwatch(pl_module.device)
        self._steps.add(trainer.global_step)
        pl_module.stopwatch = self._watch  # type: ignore[assignment]
        self._start = self._watch.now()

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Note when the backward pass begins."""
        if self._running and self._watch is not None:
            self._watch.start_backward()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Stop the clock."""
        if self._running and self._watch is not None:
            self._watch.add(STEP, self._start)
            pl_module.stopwatch = None  # type: ignore[assignment]
            self._running = False
