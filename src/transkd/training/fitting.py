"""Training from Python, in one call that writes no files, and a picture of what models predict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import lightning as L
from PIL import Image

from transkd.data import SceneDataModule
from transkd.errors import ConfigError
from transkd.evaluation import Scores, scene_picture
from transkd.models import Segmenter
from transkd.models.exported import ExportedModel
from transkd.options import signature_problems
from transkd.training.callbacks.pictures import predicted_classes
from transkd.training.checks import REFUSALS, quiet_lightning, refusal
from transkd.training.distill_module import DistillModule
from transkd.training.segmentation_module import SegmentationModule

SET_HERE = ("max_epochs", "max_steps", "check_val_every_n_epoch", "val_check_interval")
"""Options of the Trainer that ``epochs``, ``steps`` and ``validate_every`` set."""


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

    For notebooks and scripts. Runs that are logged, saved and resumed are those of ``transkd-train``; a ``Trainer`` of
    your own takes the same module and data
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
    if problems := signature_problems(L.Trainer, trainer_options, given=SET_HERE):
        raise ConfigError(f"fit: {'; '.join(map(str, problems))}")
    history = History()
    callbacks = trainer_options.get("callbacks") or []
    options: dict[str, Any] = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": False,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
        **_length(epochs, steps, validate_every, trainer_options.get("accumulate_grad_batches", 1)),
        **trainer_options,
        "callbacks": [*(callbacks if isinstance(callbacks, list | tuple) else [callbacks]), _Recorder(history)],
    }
    if quiet and isinstance(module, DistillModule):
        module.measured_steps = 0
    with quiet_lightning():
        try:
            trainer = L.Trainer(**options)
        except REFUSALS as error:
            raise ConfigError(f"fit: {refusal(error, otherwise='accelerator=auto')}") from error
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

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        """Keep the terms, once a step where gradients are accumulated."""
        if trainer.global_step == self.recorded:
            return
        self.recorded = trainer.global_step
        for name, term in pl_module.last_terms.items():
            self.history.terms.setdefault(name, []).append(float(term))

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Keep the scores."""
        step = trainer.global_step or self.recorded  # trainer.validate starts a count of its own
        self.history.scores[step] = pl_module.last_scores


def _length(epochs: int | None, steps: int | None, validate_every: int | None, batches_a_step: int) -> dict[str, Any]:
    if (epochs is None) == (steps is None):
        raise ConfigError("fit: give the length by one of epochs=… and steps=…")
    for name, value in (("epochs", epochs), ("steps", steps), ("validate_every", validate_every)):
        if value is not None and value < 1:
            raise ConfigError(f"fit: {name} is {value}; it must be 1 or more")
    if epochs is not None:
        return {"max_epochs": epochs, "check_val_every_n_epoch": min(validate_every or epochs, epochs)}
    assert steps is not None
    return {
        "max_epochs": -1,
        "max_steps": steps,
        "check_val_every_n_epoch": None,
        "val_check_interval": min(validate_every or steps, steps) * batches_a_step,
    }


def draw_predictions(
    data: SceneDataModule,
    models: Mapping[str, Segmenter | ExportedModel],
    scene: int = 0,
    *,
    panel_width: int = 256,
) -> Image.Image:
    """Draw a scene of the validation split: image, label and predictions side by side, with a legend.

    Args:
        data: where the scene, the class names and the colours are from.
        models: title -> a segmenter, or an exported file as :func:`transkd.load_model` reads it. Its outputs are the
            classes of ``data``, in their order.
        scene: its number in the split, from 0.
        panel_width: width of each panel in pixels.

    Returns:
        The picture; a notebook shows it.

    Raises:
        ConfigError: a scene that the split does not have, or a model of another number of classes.
    """
    scenes = len(data.val_dataset)
    if not 0 <= scene < scenes:
        raise ConfigError(f"scene {scene}: the validation split has {scenes}, from 0 to {scenes - 1}")
    if taken := {"image", "label"} & models.keys():
        raise ConfigError(f"models: '{min(taken)}' is the title of another panel; give the model another one")
    for title, model in models.items():
        if model.num_classes != data.classes.num_classes:
            raise ConfigError(
                f"{title} has {model.num_classes} classes, and the data has {data.classes.num_classes}: their "
                "colours would say nothing"
            )
    sample = data.val_dataset[scene]
    maps = {"label": sample["label"].numpy()}
    maps |= {title: predicted_classes(model, sample["image"][None]) for title, model in models.items()}
    image = sample["image"].permute(1, 2, 0).numpy()
    return scene_picture(image, maps, data.classes.names, data.classes.palette, panel_width=panel_width)
