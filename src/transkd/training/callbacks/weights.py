"""What is done to the weights besides training them: NaN is kept out, and an average of the student's is kept."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from transkd.errors import NonFiniteError
from transkd.runs.folder import LAST
from transkd.training.callbacks.checkpoints import RunCheckpoints


class FiniteGuard(Callback):
    """Check every loss term and the gradient norm before the optimiser steps, and log the norm.

    Raises:
        NonFiniteError: from the step where a term or a gradient is NaN or infinite, before the update; it names
            the term, the step and the files that the step has read.
    """

    def __init__(self) -> None:
        self._files: list[str] = []
        self._step = -1

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        """Remember which files the step reads, in all its batches so far."""
        indices = batch["index"].tolist() if "index" in batch else []
        namer = getattr(trainer.datamodule, "file_names", None)  # type: ignore[attr-defined]
        earlier = self._files if self._step == trainer.global_step else []
        self._step = trainer.global_step
        self._files = [*earlier, *(namer(indices) if namer else [f"sample {i}" for i in indices])]

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Check the loss and, where it is not finite, find the term."""
        if torch.isfinite(loss):
            return
        terms: dict[str, Tensor] = getattr(pl_module, "last_terms", {})
        named = [f"{name}={float(value.detach()):g}" for name, value in terms.items() if not torch.isfinite(value)]
        what = f"the loss is {float(loss.detach()):g} (non-finite terms: {', '.join(named) or 'only their sum'})"
        self._fail(trainer, what)

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer) -> None:
        """Check and log the gradient norm over everything that trains, before clipping."""
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not gradients:
            return
        norm = torch.nn.utils.get_total_norm(gradients)
        plugin: Any = trainer.precision_plugin
        scaled = isinstance(plugin, MixedPrecision) and plugin.scaler is not None  # fp16's scaler skips such steps
        if not scaled and not torch.isfinite(norm):
            named = [
                name for name, p in pl_module.named_parameters() if p.grad is not None and not p.grad.isfinite().all()
            ]
            what = f"the gradient norm is {float(norm):g} (first parameters: {', '.join(named[:3])})"
            self._fail(trainer, what)
        pl_module.log("train/grad_norm", norm, on_step=True, on_epoch=False)

    def _fail(self, trainer: L.Trainer, what: str) -> None:
        keeper = next((c for c in trainer.callbacks if isinstance(c, RunCheckpoints)), None)  # type: ignore[attr-defined]
        last = keeper.folder / LAST if keeper else None
        kept = f"the last good checkpoint is {last}" if last and last.exists() else "no checkpoint had been saved yet"
        files = ", ".join(self._files) or "unknown"
        raise NonFiniteError(
            f"stopped before the update of step {trainer.global_step}: {what}; files of the batch: {files}; {kept}. "
            "Try a lower learning rate, gradient clipping (trainer.gradient_clip_val=1.0) or fp32 "
            "(trainer.precision=32-true)."
        )


class StudentEMA(Callback):
    """Average the segmenter's weights after every optimiser step; validate and save the average.

    Buffers (batch norm statistics) are averaged too.

    Args:
        decay: weight of the old average, in [0, 1).
    """

    def __init__(self, decay: float = 0.999) -> None:
        self.decay = decay
        self._average: AveragedModel | None = None
        self._loaded: dict[str, Tensor] | None = None
        self._raw: dict[str, Tensor] | None = None
        self._step = 0

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Start the average at the segmenter's weights, or at the checkpoint's."""
        update = get_ema_multi_avg_fn(self.decay)  # type: ignore[no-untyped-call]
        self._average = AveragedModel(pl_module.segmenter, multi_avg_fn=update, use_buffers=True)
        if self._loaded is not None:
            self._average.load_state_dict(self._loaded)
        self._step = trainer.global_step

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        """Update after every optimiser step."""
        if self._average is not None and trainer.global_step > self._step:
            self._step = trainer.global_step
            self._average.update_parameters(pl_module.segmenter)

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Put the average in the segmenter's place."""
        if self._average is not None and self._raw is None:
            segmenter = pl_module.segmenter
            self._raw = {name: value.clone() for name, value in segmenter.state_dict().items()}
            segmenter.load_state_dict(self._average.module.state_dict())

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Put the trained weights back."""
        if self._raw is not None:
            pl_module.segmenter.load_state_dict(self._raw)
            self._raw = None

    def on_fit_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Drop the average: what is validated from now on is what the segmenter holds."""
        self._average = None

    def state_dict(self) -> dict[str, Any]:
        """Return the average's weights."""
        return {} if self._average is None else {"average": dict(self._average.state_dict())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember the average's weights until training starts."""
        self._loaded = state_dict.get("average")
