"""Progress of a training: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import math
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar, RichProgressBar

from transkd.training.callbacks.timing import RunClock


class EpochBar(RichProgressBar):
    """Lightning's bar, where epochs count from 1, as in every line and file of a run, and -1 is no number of them."""

    def _get_train_description(self, current_epoch: int) -> str:
        return f"Epoch {_counted(current_epoch, self.trainer.max_epochs)}".ljust(len(self.validation_description))


class LineProgress(ProgressBar):
    """Print a line every few seconds and at every validation: epoch, step, losses, rate, score, time left.

    Args:
        every_seconds: least time between two lines of training.
    """

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
            self._line(trainer, pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the scores."""
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            self._line(trainer, pl_module)

    def _line(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self._enabled:
            return
        self._printed = time.monotonic()
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        terms = [
            f"{name[6:]} {metrics[name]:.3f}"
            for name in metrics
            if name.startswith("train/") and name[6:] in _terms(pl_module)
        ]
        parts = [
            f"epoch {_counted(trainer.current_epoch, trainer.max_epochs)}",
            f"step {trainer.global_step}/{trainer.estimated_stepping_batches:.0f}",
            f"loss {metrics.get('train/loss', float('nan')):.3f}"
            + (f" ({', '.join(terms)})" if len(terms) > 1 else ""),
        ]
        if "train/images_per_s" in metrics:
            parts.append(f"{metrics['train/images_per_s']:.1f} images/s")
        if "val/miou" in metrics:
            parts.append(f"val mIoU {100 * metrics['val/miou']:.2f}")
        parts.append(f"{self._time_left(trainer)} left")
        print("  ".join(parts), flush=True)

    def _time_left(self, trainer: L.Trainer) -> str:
        done = trainer.global_step - self._first_step
        if not done:
            return "?"
        seconds = (trainer.estimated_stepping_batches - trainer.global_step) * (time.monotonic() - self._started) / done
        clocks = (c.time_remaining() for c in trainer.callbacks if isinstance(c, RunClock))  # type: ignore[attr-defined]
        seconds = min(seconds, *(left for left in clocks if left is not None), math.inf)
        if math.isinf(seconds):
            return "?"
        minutes, seconds = divmod(round(max(0.0, seconds)), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{seconds:02d}s"


def _counted(epoch: int, epochs: int | None) -> str:
    """Return the number of an epoch, the first being 1, and how many there will be where that is known."""
    return f"{epoch + 1}/{epochs}" if epochs and epochs > 0 else str(epoch + 1)


def _terms(pl_module: L.LightningModule) -> set[str]:
    return set(getattr(pl_module, "last_terms", {}))
