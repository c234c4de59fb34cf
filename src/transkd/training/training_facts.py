"""What ``results.json`` says of how a training went and of what its distillation losses cost."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import lightning as L
from lightning.pytorch.callbacks import Callback

from transkd.training.adapter_cost import loss_cost, taps_without_computing
from transkd.training.callbacks.checkpoints import RunCheckpoints
from transkd.training.callbacks.clock import RunClock
from transkd.training.callbacks.first_gradients import FirstGradients
from transkd.training.callbacks.loss_time import LossTime
from transkd.training.distill_module import DistillModule

Kind = TypeVar("Kind", bound=Callback)


def run_clock(trainer: L.Trainer) -> RunClock:
    """Return the clock of a run's trainer."""
    clock = _callback(trainer, RunClock)
    assert clock is not None
    return clock


def training_facts(trainer: L.Trainer) -> dict[str, Any]:
    """Return steps, epochs, pace, memory and the best validation of a training that has just ended."""
    keeper = _callback(trainer, RunCheckpoints)
    best = None
    if keeper is not None and keeper.best_score is not None:
        best = {"miou": keeper.best_score, "epoch": keeper.best_epoch}
    return {
        "steps": trainer.global_step,
        "epochs": _complete_epochs(trainer),
        **run_clock(trainer).facts(trainer),
        "precision": trainer.precision,
        "best_validation": best,
    }


def distillation_facts(trainer: L.Trainer, module: DistillModule, size: tuple[int, int]) -> dict[str, Any]:
    """Return what the losses cost and what their terms were in the first steps.

    Args:
        trainer: after training.
        module: what it trained.
        size: height and width of the image that GMAC are counted for.
    """
    time, first = _callback(trainer, LossTime), _callback(trainer, FirstGradients)
    shares = (time and time.facts) or {"teacher_share": None, "losses_share": None, "measured_steps": 0}
    return {
        "distillation_cost": {**adapter_facts(module, size), **shares},
        "first_steps": _without_nan(first.means) if first else {},
    }


def adapter_facts(module: DistillModule, size: tuple[int, int]) -> dict[str, Any]:
    """Return parameters of all losses' adapters, and the GMAC of comparing one image's taps."""
    losses = list(module.distillation_losses().values())
    with taps_without_computing(module.segmenter, module.teacher, losses, size) as (student, teacher):
        costs = [loss_cost(loss, student, teacher) for loss in losses]
    return {
        "adapter_parameters": sum(cost.parameters for cost in costs),
        "adapter_gmacs": sum(cost.macs.with_attention for cost in costs) / 1e9,
    }


def _complete_epochs(trainer: L.Trainer) -> int:
    """Return the epochs of which every batch was seen."""
    batches = trainer.num_training_batches
    seen = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    return trainer.current_epoch - int(0 < seen < batches)


def _callback(trainer: L.Trainer, kind: type[Kind]) -> Kind | None:
    return next((c for c in trainer.callbacks if isinstance(c, kind)), None)  # type: ignore[attr-defined]


def _without_nan(terms: dict[str, dict[str, float | None]]) -> dict[str, dict[str, float | None]]:
    return {
        name: {key: value if value is not None and math.isfinite(value) else None for key, value in facts.items()}
        for name, facts in terms.items()
    }
