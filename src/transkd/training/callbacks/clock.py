"""The run's clock: what a training took, and when its budget is spent."""

from __future__ import annotations

import time
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import Timer
from torch import Tensor

from transkd.evaluation.cost import MEGA, peak_bytes, start_peak

StoppedBy = Literal["epochs", "steps", "time", "callback"]


class RunClock(Timer):
    """Count seconds, images and peak memory over all sessions of a run, and stop it when its budget is spent.

    A training that is cut short stops between two optimiser steps, after a validation. A session that was killed counts
    up to its last checkpoint: what came after is done again.

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
        """Go on counting."""
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
        """Return what ``results.json`` says of the training's length and pace, summed over its sessions."""
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
