"""Stop before a NaN reaches the weights."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor
from torch.optim import Optimizer

from transkd.errors import NonFiniteError
from transkd.runs.folder import LAST
from transkd.training.callbacks.checkpoints import RunCheckpoints


class FiniteGuard(Callback):
    """Check every loss term and the gradient norm before the optimiser steps, and log the norm.

    Raises:
        NonFiniteError: from the step where a term or a gradient is NaN or infinite, before the update; it names
            the term, the step and the files of the batch: of all batches whose gradients were added up, where the
            gradient is what is wrong.
    """

    def __init__(self) -> None:
        self._batch_files: list[str] = []
        self._step_files: list[str] = []
        self._step = -1

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        """Remember which files the batch reads, and all that the step reads."""
        indices = batch["index"].tolist() if "index" in batch else []
        namer = getattr(trainer.datamodule, "file_names", None)  # type: ignore[attr-defined]
        self._batch_files = namer(indices) if namer and indices else [f"sample {i}" for i in indices]
        begins = self._step != trainer.global_step
        self._step = trainer.global_step
        self._step_files = [*([] if begins else self._step_files), *self._batch_files]

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Check the loss and, where it is not finite, find the term."""
        if torch.isfinite(loss):
            return
        terms: dict[str, Tensor] = getattr(pl_module, "last_terms", {})
        named = [f"{name}={float(value):g}" for name, value in terms.items() if not torch.isfinite(value)]
        what = f"the loss is {float(loss.detach()):g} (non-finite terms: {', '.join(named) or 'only their sum'})"
        self._fail(trainer, what, self._batch_files)

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer) -> None:
        """Check and log the gradient norm over everything that trains, before clipping."""
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not gradients:
            return
        norm = torch.nn.utils.get_total_norm(gradients)
        plugin: Any = trainer.precision_plugin
        scaled = isinstance(plugin, MixedPrecision) and plugin.scaler is not None
        if not scaled and not torch.isfinite(norm):
            named = [
                name for name, p in pl_module.named_parameters() if p.grad is not None and not p.grad.isfinite().all()
            ]
            what = f"the gradient norm is {float(norm):g} (first parameters: {', '.join(named[:3])})"
            self._fail(trainer, what, self._step_files)
        pl_module.log("train/grad_norm", norm, on_step=True, on_epoch=False)

    def _fail(self, trainer: L.Trainer, what: str, of_batch: list[str]) -> None:
        keeper = next((c for c in trainer.callbacks if isinstance(c, RunCheckpoints)), None)  # type: ignore[attr-defined]
        last = keeper.folder / LAST if keeper else None
        kept = f"the last good checkpoint is {last}" if last and last.exists() else "no checkpoint had been saved yet"
        files = ", ".join(of_batch) or "unknown"
        raise NonFiniteError(
            f"stopped before the update of step {trainer.global_step}: {what}; files of the batch: {files}; {kept}. "
            "Try a lower learning rate, gradient clipping (trainer.gradient_clip_val=1.0) or fp32 "
            "(trainer.precision=32-true)."
        )
