"""When a run saves (in steps, at an epoch's end, at a new best score, when it has to stop), and its random states."""

from __future__ import annotations

import math
import random
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint
from torch import distributed

from transkd.runs.folder import BEST, LAST

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequestedError(Exception):
    """A signal asked the run to stop, and it did, at a batch boundary with a checkpoint.

    Attributes:
        signal: the signal's number.
        step: optimiser steps done.
    """

    def __init__(self, signal_number: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name} after step {step}")
        self.signal = signal_number
        self.step = step


class RunCheckpoints(Checkpoint):
    """Keep ``last.ckpt``, from which a resumed run is bitwise the uninterrupted one, and ``best.ckpt``.

    Checkpoints are taken between optimiser steps only. On SIGINT or SIGTERM the run stops at the next such
    moment, after saving; a second signal ends it at once.

    Args:
        folder: where the two files go.
        every_n_steps: optimiser steps between saves within an epoch; the epoch's end always saves.
        monitor: the validation score whose maximum is the best.
    """

    def __init__(self, folder: Path, *, every_n_steps: int = 500, monitor: str = "val/miou") -> None:
        self.folder = Path(folder)
        self.every_n_steps = every_n_steps
        self.monitor = monitor
        self.best_score: float | None = None
        self.best_epoch: int | None = None
        self.last_saved_step = -1
        self._stop_signal: int | None = None
        self._stopping = False

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far and its epoch."""
        return {"best_score": self.best_score, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score so far and its epoch, unless the checkpoint that had it is not here."""
        if (self.folder / BEST).exists():
            self.best_score, self.best_epoch = state_dict["best_score"], state_dict["best_epoch"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take over the stop signals from Lightning, which restores them at the end."""
        _leave_finished_epoch(trainer)
        self.last_saved_step = trainer.global_step
        for number in STOP_SIGNALS:
            signal.signal(number, self._note_signal)

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._stop_signal is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._stop_signal = number

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Save if it is time; a validation or an epoch's end that follows the batch does so itself."""
        loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
        assert fetcher is not None
        if loop._should_accumulate() or loop._num_ready_batches_reached() or loop._should_check_val_fx(fetcher):
            return
        stop = self._stop_is_requested(trainer)
        if stop or trainer.should_stop or trainer.global_step - self.last_saved_step >= self.every_n_steps:
            self._save(trainer, LAST)
        self._stopping = stop

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Stop where the step before saved for it; only now has that step been logged."""
        if self._stopping:
            self._stop(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the best checkpoint where the score is a new best; within an epoch, save the last one too."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        self._keep_best(trainer)
        loop = trainer.fit_loop.epoch_loop
        if not (loop._should_accumulate() or loop._num_ready_batches_reached()):
            self._stopping = self._stop_is_requested(trainer)
            self._save(trainer, LAST)

    def _keep_best(self, trainer: L.Trainer) -> None:
        score = float(trainer.callback_metrics.get(self.monitor, math.nan))
        if score > (-math.inf if self.best_score is None else self.best_score):
            self.best_score, self.best_epoch = score, trainer.current_epoch
            self._save(trainer, BEST)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save an epoch that was not cut short; stop if that was requested."""
        if trainer.fit_loop.epoch_loop._num_ready_batches_reached():
            self._save(trainer, LAST)
        if self._stop_is_requested(trainer):
            self._stop(trainer)

    def _stop_is_requested(self, trainer: L.Trainer) -> bool:
        return bool(trainer.strategy.reduce_boolean_decision(self._stop_signal is not None, all=False))

    def _stop(self, trainer: L.Trainer) -> None:
        raise StopRequestedError(self._stop_signal or signal.SIGTERM, trainer.global_step)

    def _save(self, trainer: L.Trainer, name: str) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        trainer.save_checkpoint(self.folder / name)
        if name == LAST:
            self.last_saved_step = trainer.global_step


def _leave_finished_epoch(trainer: L.Trainer) -> None:
    """Start the next epoch where a checkpoint was taken at an epoch's end.

    Lightning does so itself, unless ``max_steps`` is set: then it would end the finished epoch a second time.
    """
    loop = trainer.fit_loop
    if loop.restarted_on_epoch_end:
        loop.epoch_progress.increment_completed()
        loop._restarting = False
        loop.reset_restart_stage()
        loop.epoch_loop.restarting = False
        loop.epoch_loop.reset_restart_stage()


class RandomState(Callback):
    """Save the state of every random generator, per process, and restore it just before training resumes."""

    def __init__(self) -> None:
        self._restored: dict[str, Any] | None = None

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add ``random_states``, one entry a process, to the checkpoint."""
        states: list[Any] = [_collect()]
        if trainer.world_size > 1:
            states = [None] * trainer.world_size
            distributed.all_gather_object(states, _collect())
        checkpoint["random_states"] = states

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Remember this process's states; a run resumed on more processes seeds the new ones afresh."""
        states = checkpoint.get("random_states", [])
        self._restored = states[trainer.global_rank] if trainer.global_rank < len(states) else None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restore after everything that Lightning does before the first batch."""
        if self._restored is not None:
            _restore(self._restored)
            self._restored = None


def _collect() -> dict[str, Any]:
    version, internal, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
    tensor = torch.from_numpy(np.asarray(keys, np.int64))
    return {
        "python": [version, list(internal), gauss],
        "numpy": [str(name), tensor, int(position), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _restore(state: dict[str, Any]) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])
