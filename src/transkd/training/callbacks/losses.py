"""What each distillation loss does in the first steps of a training: its gradient on the student, and its time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.precision import MixedPrecision
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.utilities import rank_zero_warn
from rich import get_console
from rich.console import Console
from rich.table import Table
from torch import Tensor

Measured = dict[str, dict[str, float | None]]

TASK_LOSS = "ce"


class FirstGradients(Callback):
    """Measure each loss term's gradient on the student in the first optimiser steps.

    Prints a table of the terms, and a warning for those without any gradient. Of a step's batches the first is
    measured, under DDP the first process's. The gradients are computed besides the backward pass, from the same graph,
    and change nothing of the training. Nothing is measured under strategies that shard weights, or where memory does
    not suffice.

    Args:
        console: where the table goes; None for standard output.
        steps: optimiser steps that are measured, from the very first of the training.
    """

    def __init__(self, console: Console | None = None, steps: int = 3) -> None:
        self.steps = steps
        self.console = console
        self._enabled = True
        self._measured: list[Measured] = []
        self._steps_done: set[int] = set()
        self._reported = False

    @property
    def means(self) -> Measured:
        """Each term's weight, value and gradient norm, means over the measured steps; None where not a number."""
        terms = self._measured[0] if self._measured else {}
        return {
            name: {key: _mean(step[name][key] for step in self._measured) for key in term}
            for name, term in terms.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return what was measured."""
        return {"measured": self._measured, "steps_done": sorted(self._steps_done), "told": self._reported}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what was measured."""
        self._measured = list(state_dict["measured"])
        self._steps_done = set(state_dict["steps_done"])
        self._reported = bool(state_dict["told"])

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measure nothing where weights are sharded."""
        self._enabled = isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy)

    def on_before_backward(self, trainer: L.Trainer, pl_module: Any, loss: Tensor) -> None:
        """Measure the first batch of a step."""
        step = trainer.global_step
        if not self._enabled or step >= self.steps or step in self._steps_done:
            return
        self._steps_done.add(step)
        weights, scale = pl_module.current_weights(), _scale(trainer)
        student = [p for p in pl_module.segmenter.parameters() if p.requires_grad]
        try:
            self._measured.append(
                {
                    name: {
                        "weight": weights.get(name, 1.0),
                        "value": float(term.detach()),
                        "gradient_norm": _gradient_norm(term, student, scale),
                    }
                    for name, term in pl_module.last_terms.items()
                }
            )
        except RuntimeError as error:  # such as memory that a second pass does not fit into
            self._enabled = False
            rank_zero_warn(f"gradients of the first steps are not measured: {str(error).splitlines()[0]}")

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Report, once all is measured."""
        if trainer.global_step >= self.steps:
            self.on_train_end(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Report what there is of a shorter training."""
        if self._measured and not self._reported:
            self._reported = True
            if trainer.is_global_zero:
                self._report()

    def _report(self) -> None:
        means, steps = self.means, len(self._measured)
        task = means[TASK_LOSS]["gradient_norm"] or math.nan
        table = Table(title=f"Loss terms in the first {steps} steps" if steps > 1 else "Loss terms in the first step")
        table.caption = "means; gradient: its norm on the student's weights"
        table.title_justify = table.caption_justify = "left"
        table.add_column("term")
        for heading in ("weight", "value", "gradient", "weight x gradient", f"of {TASK_LOSS}'s"):
            table.add_column(heading, justify="right")
        for name, mean in means.items():
            norm = math.nan if mean["gradient_norm"] is None else mean["gradient_norm"]
            pull = (mean["weight"] or 0.0) * norm
            numbers = [_text(number) for number in (mean["weight"], mean["value"], norm, pull)]
            table.add_row(name, *numbers, "" if math.isnan(pull / task) else f"{100 * pull / task:.3g} %")
            if not any(step[name]["gradient_norm"] for step in self._measured):
                what = "has a gradient of exactly 0 on" if norm == 0 else "is not connected to"
                rank_zero_warn(
                    f"the loss '{name}' does nothing: in the first {steps} steps its value ({_text(mean['value'])}) "
                    f"{what} the student's weights. Check its options, what it compares, and whether a custom loss "
                    "calls detach()"
                )
        (self.console or get_console()).print(table)


def _gradient_norm(term: Tensor, parameters: list[torch.nn.Parameter], scale: float) -> float | None:
    """Return the norm of a term's gradient, None where it does not depend on the parameters."""
    if not term.requires_grad:
        return None
    found = torch.autograd.grad(term * scale, parameters, retain_graph=True, allow_unused=True)
    gradients = [gradient for gradient in found if gradient is not None]
    return float(torch.nn.utils.get_total_norm(gradients)) / scale if gradients else None


def _scale(trainer: L.Trainer) -> float:
    """Return what fp16's scaler multiplies losses with: without it small gradients would be lost to rounding."""
    plugin: Any = trainer.precision_plugin
    scaler = plugin.scaler if isinstance(plugin, MixedPrecision) else None
    return 1.0 if scaler is None else float(scaler.get_scale())


def _mean(values: Iterable[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    mean = math.fsum(numbers) / len(numbers) if numbers else math.nan
    return mean if math.isfinite(mean) else None


def _text(value: float | None) -> str:
    return "none" if value is None or math.isnan(value) else f"{value:.4g}"


class LossTime(Callback):
    """Measure some early steps of a session: the teacher's pass, the losses forward and backward, and all of the step.

    Waiting for data is not part of a step. On a GPU the end of each part is waited for, in these steps only. While a
    step is measured, the module finds this as its ``stopwatch``.

    Args:
        skip: optimiser steps before the first that is measured: those in which libraries tune and measure themselves.
        count: optimiser steps that are measured.

    Attributes:
        seconds: of each part of a step, and of all of it (``"step"``), so far.
    """

    def __init__(self, skip: int = 5, count: int = 10) -> None:
        self.skip = skip
        self.count = count
        self.seconds: dict[str, float] = {}
        self._started: dict[str, float] = {}
        self._steps: set[int] = set()
        self._first = 0
        self._device = torch.device("cpu")
        self._earlier: dict[str, Any] | None = None

    @property
    def shares(self) -> dict[str, Any]:
        """Shares of teacher and losses in the step's time, and how many steps were measured; None before the first."""
        if not self.seconds.get("step"):
            return self._earlier or {"teacher_share": None, "losses_share": None, "measured_steps": 0}
        shares = {f"{part}_share": self.seconds.get(part, 0.0) / self.seconds["step"] for part in ("teacher", "losses")}
        return {**shares, "measured_steps": len(self._steps)}

    def state_dict(self) -> dict[str, Any]:
        """Return what was measured."""
        return {"facts": self.shares}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep what was measured before for as long as nothing new is."""
        self._earlier = state_dict.get("facts")

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Add what happens within the context to a part."""
        self._start(part)
        yield
        self._stop(part)

    def end_at_gradient_of(self, term: Tensor, part: str) -> None:
        """Add the backward pass up to ``term``'s own gradient to a part.

        Autograd runs what was computed last first: all that was computed after ``term`` is done by then.
        """
        if term.requires_grad:
            term.register_hook(lambda _: self._stop(part))  # type: ignore[no-untyped-call]

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Count steps from here."""
        self._first = trainer.global_step
        self._device = pl_module.device

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: Any, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        """Start the clock."""
        if 0 <= trainer.global_step - self._first - self.skip < self.count:
            self._steps.add(trainer.global_step)
            pl_module.stopwatch = self
            self._start("step")

    def on_before_backward(self, trainer: L.Trainer, pl_module: Any, loss: Tensor) -> None:
        """Note when the backward pass begins, with that of the losses."""
        if "step" in self._started:
            self._start("losses")

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        """Stop the clock."""
        self._stop("step")
        self._started.clear()
        pl_module.stopwatch = None

    def _start(self, part: str) -> None:
        self._started[part] = self._now()

    def _stop(self, part: str) -> None:
        if part in self._started:
            self.seconds[part] = self.seconds.get(part, 0.0) + self._now() - self._started.pop(part)

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()
