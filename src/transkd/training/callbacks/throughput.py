"""How fast a run goes, and how much of it is waiting for data."""

from __future__ import annotations

import time
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor


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
