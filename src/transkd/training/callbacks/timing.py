"""Time measured: the run's clock and budget, images a second, and the share of teacher and losses in a step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, Timer
from torch import Tensor

from transkd.evaluation.cost import MEGA, peak_bytes, start_peak

StoppedBy = Literal["epochs", "steps", "time", "callback"]


class RunClock(Timer):
    """Count seconds, images and peak memory over all sessions of a run, and stop it when its budget is spent.

    A training that is cut short stops between two optimiser steps, after a validation. A session that was killed counts
    up to its last checkpoint, since what came after is repeated.

    Args:
        max_time: seconds and more that the training may take, as Lightning's ``max_time``; None for no limit.
        max_steps: optimiser steps that it may take, -1 for no limit.
    """

    def __init__(self, max_time: Any = None, max_steps: int = -1) -> None:
        super().__init__(max_time, verbose=False)
        self.max_steps = max_steps
        self.images = 0
        self.validation_seconds = 0.0
        self.time_is_up = False
        self._peak_mb = 0.0
        self._total_steps = float("inf")
        self._validation_start: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return what was counted."""
        return {
            "seconds": float(self.time_elapsed()),
            "validation_seconds": self.validation_seconds,
            "images": self.images,
            "peak_mb": self._peak_mb,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what was counted."""
        super().load_state_dict({"time_elapsed": {"train": state_dict["seconds"]}})
        self.validation_seconds = state_dict["validation_seconds"]
        self.images = state_dict["images"]
        self._peak_mb = state_dict["peak_mb"]

    def on_fit_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Stop at once where all of the time is spent."""
        self._total_steps = trainer.estimated_stepping_batches
        self._check(trainer)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start counting."""
        super().on_train_start(trainer, pl_module)
        if pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(pl_module.device)
        else:
            start_peak()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any, **_: Any) -> None:
        """Count the batch; stop after the step that spends the budget."""
        batch: dict[str, Tensor] = args[1]
        self.images += len(batch["image"]) * trainer.world_size
        if trainer.fit_loop.epoch_loop._should_accumulate():
            return
        self._check(trainer)
        steps_are_up = 0 <= self.max_steps <= trainer.global_step
        trainer.should_stop = trainer.should_stop or steps_are_up
        if (self.time_is_up or steps_are_up) and trainer.check_val_every_n_epoch is not None:
            trainer.check_val_every_n_epoch = 1  # the epoch that is cut short is validated, whichever it is

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note when a validation begins."""
        self._validation_start = time.monotonic() if _within_training(trainer) else None

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add the validation."""
        if self._validation_start is not None:
            self.validation_seconds += time.monotonic() - self._validation_start
            self._validation_start = None
        if _within_training(trainer):
            self._note_peak(pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, *args: Any, **_: Any) -> None:
        """Note the peak of memory."""
        self._note_peak(args[0])

    def _check(self, trainer: L.Trainer) -> None:
        if self._duration is None:
            return
        self.time_is_up = bool(trainer.strategy.broadcast(self.time_elapsed() >= self._duration))
        trainer.should_stop = trainer.should_stop or self.time_is_up

    def _note_peak(self, pl_module: L.LightningModule) -> None:
        on_gpu = pl_module.device.type == "cuda"
        peak = torch.cuda.max_memory_allocated(pl_module.device) if on_gpu else peak_bytes()
        self._peak_mb = max(self._peak_mb, peak / MEGA)

    def stopped_by(self, trainer: L.Trainer) -> StoppedBy:
        """Return what ended the training."""
        if trainer.global_step >= self._total_steps:
            return "steps" if 0 <= self.max_steps <= trainer.global_step else "epochs"
        return "time" if self.time_is_up else "callback"

    def facts(self, trainer: L.Trainer) -> dict[str, Any]:
        """Return length and pace of the training for ``results.json``, summed over its sessions."""
        seconds = self.time_elapsed()
        training = seconds - self.validation_seconds
        on_gpu = trainer.strategy.root_device.type == "cuda"
        return {
            "stopped_by": self.stopped_by(trainer),
            "images": self.images,
            "seconds": round(seconds, 2),
            "validation_seconds": round(self.validation_seconds, 2),
            "images_per_second": round(self.images / training, 2) if training > 0 else None,
            "peak_memory_mb": round(self._peak_mb, 1),
            "peak_memory_is": "allocated on the first GPU by torch" if on_gpu else "resident set of the first process",
        }


def _within_training(trainer: L.Trainer) -> bool:
    return trainer.state.fn == "fit" and not trainer.sanity_checking


class Throughput(Callback):
    """Log ``train/images_per_s``, ``train/data_wait`` (share of the time) and ``train/lr`` at every logged step.

    Rates are means since the step logged before, without validation. Images are those of all processes.
    """

    def __init__(self) -> None:
        self._images = 0
        self._waiting = 0.0
        self._busy = 0.0
        self._mark = 0.0
        self._rate = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._mark = time.perf_counter()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        """Count what lay between the batches as waiting for data."""
        now = time.perf_counter()
        self._waiting += now - self._mark if self._mark else 0.0
        self._mark = now
        self._rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        self._images += len(batch["image"]) * trainer.world_size

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Log where the trainer logs."""
        steps = not trainer.fit_loop.epoch_loop._should_accumulate()
        is_logged = steps and (trainer.fit_loop.epoch_loop._batches_that_stepped + 1) % trainer.log_every_n_steps == 0  # type: ignore[attr-defined]
        if is_logged and torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self._busy += now - self._mark
        self._mark = now
        if not is_logged:
            return
        total = self._waiting + self._busy
        values = {
            "train/images_per_s": self._images / total if total else 0.0,
            "train/data_wait": self._waiting / total if total else 0.0,
            "train/lr": self._rate,
        }
        pl_module.log_dict(values, on_step=True, on_epoch=False)
        self._images, self._waiting, self._busy = 0, 0.0, 0.0

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the validation out."""
        self._mark = time.perf_counter()


STEP = "step"


class LossTime(Callback):
    """Measure some early steps of a session: the teacher's pass, the losses forward and backward, and all of the step.

    Waiting for data is not part of a step. On a GPU the end of each part is waited for, in these steps only. While a
    step is measured, the module finds this as its ``stopwatch``.

    Args:
        skip: optimiser steps before the first that is measured: those in which libraries tune and measure themselves.
        count: optimiser steps that are measured.

    Attributes:
        seconds: part of a step -> seconds so far.
    """

    def __init__(self, skip: int = 5, count: int = 10) -> None:
        self.skip = skip
        self.count = count
        self.seconds: dict[str, float] = {}
        self._device = torch.device("cpu")
        self._first = 0
        self._steps: set[int] = set()
        self._step_start: float | None = None
        self._backward_start: float | None = None
        self._earlier: dict[str, Any] | None = None

    @property
    def facts(self) -> dict[str, Any] | None:
        """Shares of the step's time by part, and how many steps were measured; None before the first."""
        if not self.seconds.get(STEP):
            return self._earlier
        shares = {f"{part}_share": self.seconds.get(part, 0.0) / self.seconds[STEP] for part in ("teacher", "losses")}
        return {**shares, "measured_steps": len(self._steps)}

    def state_dict(self) -> dict[str, Any]:
        """Return what was measured."""
        return {"facts": self.facts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep what was measured before for as long as nothing new is."""
        self._earlier = state_dict.get("facts")

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Add what happens within the context to a part."""
        start = self._now()
        yield
        self._add(part, start)

    def end_at_gradient_of(self, term: Tensor, part: str) -> None:
        """Add the backward pass up to ``term``'s own gradient to a part.

        Autograd runs what was computed last first: all that was computed after ``term`` is done by then.
        """

        def reached(_: Tensor) -> None:
            if self._backward_start is not None:
                self._add(part, self._backward_start)
                self._backward_start = None

        if term.requires_grad:
            term.register_hook(reached)  # type: ignore[no-untyped-call]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count steps from here."""
        self._first = trainer.global_step
        self._device = pl_module.device

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        """Start the clock."""
        if not 0 <= trainer.global_step - self._first - self.skip < self.count:
            return
        self._steps.add(trainer.global_step)
        pl_module.stopwatch = self  # type: ignore[assignment]
        self._step_start = self._now()

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Note when the backward pass begins."""
        if self._step_start is not None:
            self._backward_start = self._now()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Stop the clock."""
        if self._step_start is not None:
            self._add(STEP, self._step_start)
            pl_module.stopwatch = None  # type: ignore[assignment]
            self._step_start = None

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def _add(self, part: str, since: float) -> None:
        self.seconds[part] = self.seconds.get(part, 0.0) + self._now() - since
