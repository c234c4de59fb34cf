"""Training from Python, in one call: a quiet trainer that writes no files, and what happened step by step."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import lightning as L

from transkd.data import SceneDataModule
from transkd.errors import ConfigError
from transkd.evaluation import Scores
from transkd.training.checks import REFUSALS, lightning_problems, refusal
from transkd.training.distill_module import DistillModule
from transkd.training.segmentation_module import SegmentationModule
from transkd.training.trainer import quiet_lightning

SAID_OTHERWISE = {
    "max_epochs": "epochs",
    "max_steps": "steps",
    "check_val_every_n_epoch": "validate_every",
    "val_check_interval": "validate_every",
}
LIGHTNING_LOGS = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")


@dataclass(frozen=True)
class History:
    """What happened in a training.

    Attributes:
        terms: each loss term, ``"ce"`` and the distillation losses, unweighted: a value an optimiser step.
        scores: optimiser steps done -> the scores of the validation then.
    """

    terms: dict[str, list[float]] = field(default_factory=dict)
    scores: dict[int, Scores] = field(default_factory=dict)

    @property
    def last_scores(self) -> Scores:
        """The scores of the last validation.

        Raises:
            ConfigError: nothing was validated.
        """
        if not self.scores:
            raise ConfigError("fit: there are no scores, for nothing was validated (limit_val_batches=0)")
        return self.scores[max(self.scores)]


def fit(
    module: SegmentationModule,
    data: SceneDataModule,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    validate_every: int | None = None,
    quiet: bool = False,
    **trainer_options: Any,
) -> History:
    """Train a module on some data, and write nothing to the disk.

    What a ``lightning.Trainer`` is needed for in a notebook. Runs that are logged, saved and resumed are those of
    ``transkd-train``; a ``Trainer`` of your own takes the same module and data
    (``lightning.Trainer(use_distributed_sampler=False, …).fit(module, data)``).

    Args:
        module: a :class:`DistillModule` or :class:`SegmentationModule`; its segmenter is left in evaluation mode.
        data: what it trains and is validated on.
        epochs: the length, or
        steps: the length in optimiser steps.
        validate_every: epochs, or steps, between two validations; None: one at the end.
        quiet: whether to leave out the table of the first steps' gradients that a distillation measures and prints,
            and with it the warning of a loss that does nothing.
        **trainer_options: further arguments of ``lightning.Trainer``, such as ``accelerator="cpu"`` or
            ``enable_progress_bar=True``.

    Returns:
        The loss terms of every step, and the scores of every validation, the last one after the last step.

    Raises:
        ConfigError: unless exactly one of ``epochs`` and ``steps`` is given; for lengths below 1, options that the
            trainer does not have or refuses, and data of another number of classes.
        DataError: the data's files are missing or unreadable.

    Example:
        >>> history = fit(module, SceneDataModule("camvid", "data/camvid"), epochs=40)
        >>> history.last_scores.miou
    """
    _check_options(trainer_options)
    options: dict[str, Any] = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": False,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
        **_length(epochs, steps, validate_every, trainer_options.get("accumulate_grad_batches", 1)),
        **trainer_options,
    }
    history = History()
    recorder = _Recorder(history)
    options["callbacks"] = [*_listed(options.get("callbacks")), recorder]
    if quiet and isinstance(module, DistillModule):
        module.measured_steps = 0
    with _quiet():
        trainer = _trainer(options)
        trainer.fit(module, data)
        if trainer.global_step not in history.scores:
            trainer.validate(module, data, verbose=False)
    module.eval()
    return history


class _Recorder(L.Callback):
    """Keep the terms of each optimiser step and the scores of each validation."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.recorded = 0

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Keep the terms, once a step where gradients are accumulated."""
        if trainer.global_step == self.recorded:
            return
        self.recorded = trainer.global_step
        module: Any = pl_module
        for name, term in module.last_terms.items():
            self.history.terms.setdefault(name, []).append(float(term))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the scores."""
        module: Any = pl_module
        # trainer.validate starts a count of its own
        step = trainer.global_step or self.recorded
        self.history.scores[step] = module.last_scores


def _length(epochs: int | None, steps: int | None, validate_every: int | None, batches_a_step: int) -> dict[str, Any]:
    if (epochs is None) == (steps is None):
        raise ConfigError("fit: say how long by one of epochs=… and steps=…")
    given = {"epochs": epochs, "steps": steps, "validate_every": validate_every}
    for name, value in given.items():
        if value is not None and (type(value) is not int or value < 1):
            raise ConfigError(f"fit: {name} is {value!r}; give a whole number, 1 or more")
    if epochs is not None:
        return {"max_epochs": epochs, "check_val_every_n_epoch": min(validate_every or epochs, epochs)}
    assert steps is not None
    return {
        "max_epochs": -1,
        "max_steps": steps,
        "check_val_every_n_epoch": None,
        "val_check_interval": min(validate_every or steps, steps) * batches_a_step,
    }


def _check_options(options: Mapping[str, Any]) -> None:
    for key in options:
        if key in SAID_OTHERWISE:
            raise ConfigError(f"fit: {key} is not taken beside {SAID_OTHERWISE[key]}=…, which says it")
    if problems := list(lightning_problems(options, given=SAID_OTHERWISE)):
        raise ConfigError(f"fit: {'; '.join(map(str, problems))}")
    if options.get("limit_train_batches") == 0:
        raise ConfigError("fit: limit_train_batches is 0, so nothing would be trained")


def _trainer(options: Mapping[str, Any]) -> L.Trainer:
    try:
        return L.Trainer(**options)
    except REFUSALS as error:
        raise ConfigError(f"fit: {refusal(error, otherwise='accelerator=auto')}") from error


def _listed(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out Lightning's tips and the warnings that nobody can do anything about, for as long as this lasts."""
    levels = {name: logging.getLogger(name).level for name in LIGHTNING_LOGS}
    with warnings.catch_warnings():
        quiet_lightning()
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
