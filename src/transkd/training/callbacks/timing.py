"""Time: the run's clock and budget, images a second, and what is printed of a training's progress."""

from __future__ import annotations

import math
import time
from datetime import timedelta
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ProgressBar, RichProgressBar, Timer
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
        self._validation_start = 0.0

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
        self._check_time(trainer)

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
        self._check_time(trainer)
        steps_are_up = 0 <= self.max_steps <= trainer.global_step
        trainer.should_stop = trainer.should_stop or steps_are_up
        if (self.time_is_up or steps_are_up) and trainer.check_val_every_n_epoch is not None:
            trainer.check_val_every_n_epoch = 1  # the epoch that is cut short is validated, whichever it is

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note when a validation begins."""
        self._validation_start = time.monotonic()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add a validation within the training."""
        if _within_training(trainer):
            self.validation_seconds += time.monotonic() - self._validation_start
            self._note_peak(pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, *args: Any, **_: Any) -> None:
        """Note the peak of memory."""
        self._note_peak(args[0])

    def _check_time(self, trainer: L.Trainer) -> None:
        if self._duration is not None:
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
        self._waiting += self._since_mark()
        self._rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        self._images += len(batch["image"]) * trainer.world_size

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Log where the trainer logs."""
        loop = trainer.fit_loop.epoch_loop
        steps = (loop._batches_that_stepped + 1) % trainer.log_every_n_steps  # type: ignore[attr-defined]
        is_logged = steps == 0 and not loop._should_accumulate()
        if is_logged and torch.cuda.is_available():
            torch.cuda.synchronize()
        self._busy += self._since_mark()
        if is_logged:
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

    def _since_mark(self) -> float:
        before, self._mark = self._mark, time.perf_counter()
        return self._mark - before if before else 0.0


class EpochBar(RichProgressBar):
    """Lightning's bar, where epochs count from 1, as in every line and file of a run, and -1 is no number of them."""

    def _get_train_description(self, current_epoch: int) -> str:
        return f"Epoch {_counted(current_epoch, self.trainer.max_epochs)}".ljust(len(self.validation_description))


class LineProgress(ProgressBar):
    """Print a line every few seconds and at every validation: epoch, step, losses, rate, score, time left."""

    def __init__(self, every_seconds: float = 10.0) -> None:
        super().__init__()
        self.every_seconds = every_seconds
        self._enabled = True
        self._printed = 0.0
        self._started = 0.0
        self._first_step = 0

    def disable(self) -> None:
        """Print nothing (Lightning calls this on all but the first process)."""
        self._enabled = False

    def enable(self) -> None:
        """Print again."""
        self._enabled = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._started = self._printed = time.monotonic()
        self._first_step = trainer.global_step

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Print if it is time."""
        if time.monotonic() - self._printed >= self.every_seconds:
            self._print(trainer, pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the scores."""
        if _within_training(trainer):
            self._print(trainer, pl_module)

    def _print(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self._enabled:
            return
        self._printed = time.monotonic()
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        names = [name for name in getattr(pl_module, "last_terms", {}) if f"train/{name}" in metrics]
        terms = ", ".join(f"{name} {metrics[f'train/{name}']:.3f}" for name in names)
        parts = [
            f"epoch {_counted(trainer.current_epoch, trainer.max_epochs)}",
            f"step {trainer.global_step}/{trainer.estimated_stepping_batches:.0f}",
            f"loss {metrics.get('train/loss', math.nan):.3f}{f' ({terms})' if len(names) > 1 else ''}",
        ]
        if "train/images_per_s" in metrics:
            parts.append(f"{metrics['train/images_per_s']:.1f} images/s")
        if "val/miou" in metrics:
            parts.append(f"val mIoU {100 * metrics['val/miou']:.2f}")
        print("  ".join([*parts, f"{self._time_left(trainer)} left"]), flush=True)

    def _time_left(self, trainer: L.Trainer) -> str:
        done = trainer.global_step - self._first_step
        if not done:
            return "?"
        seconds = (trainer.estimated_stepping_batches - trainer.global_step) * (time.monotonic() - self._started) / done
        clocks = (c.time_remaining() for c in trainer.callbacks if isinstance(c, RunClock))  # type: ignore[attr-defined]
        seconds = min(seconds, *(left for left in clocks if left is not None), math.inf)
        if math.isinf(seconds):
            return "?"
        return str(timedelta(seconds=round(max(0.0, seconds))))


def _counted(epoch: int, epochs: int | None) -> str:
    """Return the number of an epoch, the first being 1, and how many there will be where that is known."""
    return f"{epoch + 1}/{epochs}" if epochs and epochs > 0 else str(epoch + 1)
