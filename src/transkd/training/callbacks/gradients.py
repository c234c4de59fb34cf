"""Gradients watched: no NaN reaches the weights, and each loss moves the student at first."""

from __future__ import annotations

import math
from collections.abc import Mapping
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
from torch.optim import Optimizer

from transkd.errors import NonFiniteError
from transkd.runs.folder import LAST
from transkd.training.callbacks.checkpoints import RunCheckpoints

Measured = dict[str, dict[str, float | None]]

TASK_LOSS = "ce"
FAINT = 0.01
"""Share of the task loss's gradient below which a term is reported to do next to nothing."""


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


class FirstGradients(Callback):
    """Measure each loss term's gradient on the student in the first optimiser steps.

    Printed are a table of the terms, a warning of those without any gradient, and a note of those whose gradient,
    even at their full weight, is below 1 % of the task loss's.

    Of a step's batches the first is measured, under DDP the first process's. The gradients are computed besides the
    backward pass, from the same graph, and change nothing of the training. Where that does not work nothing is
    measured, and a line says why: under strategies that leave weights in pieces (all but one device and DDP), or where
    torch cannot go through a graph twice, for lack of memory for instance.

    Args:
        console: where the table goes; None for standard output.
        steps: optimiser steps that are measured, from the very first of the training.

    Attributes:
        not_measured: why nothing is measured, None if it is.
    """

    def __init__(self, console: Console | None = None, steps: int = 3) -> None:
        self.steps = steps
        self.console = console
        self.not_measured: str | None = None
        self._measured: list[Measured] = []
        self._steps_done: set[int] = set()
        self._reported = False

    @property
    def means(self) -> Measured:
        """Each term's weight, value and gradient norm, means over the measured steps; a norm is None if none exists."""
        terms = self._measured[0] if self._measured else {}
        return {
            name: {
                key: _mean([step[name][key] for step in self._measured]) for key in ("weight", "value", "gradient_norm")
            }
            for name in terms
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
        """Decide whether it can be measured here."""
        if not isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy):
            self.not_measured = f"weights are in pieces under {type(trainer.strategy).__name__}"
        if self.not_measured and trainer.global_step < self.steps:
            self._print(trainer, f"gradients of the first steps are not measured: {self.not_measured}")

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        """Request the graph of this step's terms."""
        module: Any = pl_module
        step = trainer.global_step
        module.keeps_graph = self.not_measured is None and step < self.steps and step not in self._steps_done

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Measure."""
        module: Any = pl_module
        terms: dict[str, Tensor] = module.graph_terms
        if not terms:
            return
        module.graph_terms, module.keeps_graph = {}, False
        weights = module.current_weights()
        student = [p for p in module.segmenter.parameters() if p.requires_grad]
        try:
            self._measured.append(
                {
                    name: {
                        "weight": weights.get(name, 1.0),
                        "value": float(term.detach()),
                        "gradient_norm": _gradient_norm(term, student, _scale(trainer)),
                    }
                    for name, term in terms.items()
                }
            )
        except RuntimeError as error:  # such as memory that a second pass does not fit into
            self.not_measured = str(error).splitlines()[0]
            rank_zero_warn(f"gradients of the first steps are not measured: {self.not_measured}")
        self._steps_done.add(trainer.global_step)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Report, once all is measured."""
        if trainer.global_step >= self.steps:
            self._report(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Report what there is of a shorter training."""
        self._report(trainer, pl_module)

    def _report(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._reported or not self._measured:
            return
        self._reported = True
        for name, first in self._measured[0].items():
            if all(step[name]["gradient_norm"] in (None, 0.0) for step in self._measured):
                what = "is not connected to" if first["gradient_norm"] is None else "has a gradient of exactly 0 on"
                rank_zero_warn(
                    f"the loss '{name}' does nothing: in the first {len(self._measured)} steps its value "
                    f"({first['value']:.4g} at first) {what} the student's weights. Check its options, what it "
                    "compares, and whether a custom loss calls detach()"
                )
        self._print(trainer, gradient_table(self.means, len(self._measured)))
        module: Any = pl_module
        weights = {name: weight.base for name, weight in module.weights.items()}
        for name, share in faint_terms(self.means, weights).items():
            self._print(
                trainer,
                f"note: the loss '{name}' does next to nothing: at weight {weights[name]:g} its gradient on the "
                f"student is {100 * share:.2g} % of {TASK_LOSS}'s in these steps; a weight of "
                f"{weights[name] / share:.1g} would make them equal",
            )

    def _print(self, trainer: L.Trainer, what: Table | str) -> None:
        if trainer.is_global_zero:
            (self.console or get_console()).print(what, soft_wrap=isinstance(what, str))


def faint_terms(means: Measured, weights: Mapping[str, float]) -> dict[str, float]:
    """Return the terms that hardly move the student beside the task loss.

    Args:
        means: the mean gradient norm of each term.
        weights: the weight of each distillation loss before its schedule, whose factors are 1 at most.

    Returns:
        Term -> the norm of its gradient times its weight over that of the task loss, where above 0 and below 1 %.
    """
    task = means.get(TASK_LOSS, {}).get("gradient_norm")
    if not task:
        return {}
    shares = {
        name: weight * (means.get(name, {}).get("gradient_norm") or 0.0) / task for name, weight in weights.items()
    }
    return {name: share for name, share in shares.items() if 0 < share < FAINT}


def gradient_table(means: Measured, steps: int) -> Table:
    """Return the table of terms: weight, value, gradient norm, and the norm times the weight."""
    table = Table(
        title=f"Loss terms in the first {steps} steps" if steps > 1 else "Loss terms in the first step",
        caption="means; gradient: its norm on the student's weights",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("term")
    for heading in ("weight", "value", "gradient", "weight x gradient", f"of {TASK_LOSS}'s"):
        table.add_column(heading, justify="right")
    task = means.get(TASK_LOSS, {}).get("gradient_norm")
    for name, facts in means.items():
        weight, gradient = facts["weight"] or 0.0, facts["gradient_norm"]
        pull = None if gradient is None else weight * gradient
        share = None if pull is None or not task else pull / task
        cells = (f"{weight:.4g}", _number(facts["value"]), _number(gradient), _number(pull))
        table.add_row(name, *cells, "" if share is None else f"{100 * share:.3g} %")
    return table


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


def _mean(values: list[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return math.fsum(numbers) / len(numbers) if numbers else None


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
