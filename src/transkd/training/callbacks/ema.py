"""An exponential moving average of the student's weights."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


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

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the average at the segmenter's weights, or at the checkpoint's."""
        update = get_ema_multi_avg_fn(self.decay)  # type: ignore[no-untyped-call]
        average = AveragedModel(_segmenter(pl_module), multi_avg_fn=update, use_buffers=True)
        if self._loaded is not None:
            average.load_state_dict(self._loaded)
        self._average = average
        self._step = trainer.global_step

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Update after every optimiser step."""
        if self._average is not None and trainer.global_step > self._step:
            self._step = trainer.global_step
            self._average.update_parameters(_segmenter(pl_module))

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put the average in the segmenter's place."""
        if self._average is not None and self._raw is None:
            segmenter = _segmenter(pl_module)
            self._raw = {name: value.clone() for name, value in segmenter.state_dict().items()}
            segmenter.load_state_dict(self._average.module.state_dict())

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put the trained weights back."""
        if self._raw is not None:
            _segmenter(pl_module).load_state_dict(self._raw)
            self._raw = None

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let go of the average: what is validated from now on is what the segmenter holds."""
        self._average = None

    def state_dict(self) -> dict[str, Any]:
        """Return the average's weights."""
        return {} if self._average is None else {"average": dict(self._average.state_dict())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember the average's weights until training starts."""
        self._loaded = state_dict.get("average")


def _segmenter(pl_module: L.LightningModule) -> nn.Module:
    segmenter = pl_module.segmenter
    assert isinstance(segmenter, nn.Module)
    return segmenter
