"""One training run, from a config to a scored and saved segmenter."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import lightning as L
import numpy as np
import torch
from rich.console import Console
from torch import nn
from torch.optim import Optimizer

from transkd.data import SceneDataModule
from transkd.errors import CheckpointError, ConfigError
from transkd.runs.checkpoints import read_checkpoint
from transkd.runs.folder import RunFolder
from transkd.runs.recipe import Comparison, config_differences
from transkd.training.checks import import_own_modules, make, quiet_lightning
from transkd.training.config import TrainConfig
from transkd.training.distill_module import DistillModule
from transkd.training.finish import finish
from transkd.training.preflight import print_preflight
from transkd.training.schedules import LinearEpochDecay, PolyWarmUp
from transkd.training.segmentation_module import SegmentationModule
from transkd.training.segmenters import build_student, build_teacher, starts_from_teacher
from transkd.training.trainer import MetricsCSV, build_trainer, is_first_process, new_console


def train(values: Mapping[str, Any], *, console: Console | None = None) -> dict[str, Any]:
    """Run a training as a checked config says, and return what ``results.json`` then holds.

    Args:
        values: the composed config in plain containers, in which the command found no mistakes.
        console: where to print; standard output by default.

    Raises:
        TransKDError: for everything that a user can fix, before the first step wherever it can be known then.
        StopRequestedError: a signal stopped the run; ``resume=auto`` resumes it.
    """
    import_own_modules(values)
    config = TrainConfig.model_validate(values)
    first = is_first_process()
    console = console or new_console(quiet=not first)
    folder = RunFolder(config.output)
    checkpoint = folder.checkpoint_to_resume(config.resume, check=first)
    saved = read_checkpoint(checkpoint) if checkpoint is not None and first else {}
    source = RunFolder(checkpoint.parent.parent) if checkpoint is not None else folder
    if saved:
        _check_recipe(source, values)
    with quiet_lightning():
        L.seed_everything(config.seed, workers=False, verbose=False)
        data = build_data(config)
        data.setup("fit")
        if saved:
            data.check_same((saved.get(type(data).__qualname__) or {}).get("data"))
            _check_length(source, saved, config)
        module = build_module(config, data)
        with folder.claimed(values) if first else nullcontext():
            loaded = {checkpoint: saved} if checkpoint is not None and saved else {}
            trainer = build_trainer(config, values, folder, data, console, loaded)
            if trainer.is_global_zero:
                print_preflight(config, data, module, trainer, checkpoint, console)
                for logger in trainer.loggers:
                    if isinstance(logger, MetricsCSV):
                        logger.rewind(saved.get("global_step", 0))
                if source.best.exists() and not folder.best.exists():
                    shutil.copy2(source.best, folder.best)
            if isinstance(module, DistillModule):
                module.console = console
            _seed_process(config.seed + trainer.global_rank)
            try:
                trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
            except torch.OutOfMemoryError as error:
                raise ConfigError(
                    f"the device is out of memory: lower data.batch_size (it is {config.data.batch_size}) or data.size,"
                    f" or set trainer.precision=bf16-mixed ({str(error).splitlines()[0]})"
                ) from error
            return finish(config, folder, trainer, data, module, console)


def _check_recipe(source: RunFolder, values: Mapping[str, Any]) -> None:
    """Refuse to resume a run with another recipe; without a config in its folder nothing is compared."""
    if changed := config_differences(source.saved_config(), values, Comparison.RESUME):
        lines = "\n".join(f"  {line}" for line in changed)
        raise CheckpointError(
            f"the run in {source.path} cannot be resumed with another recipe; these keys differ:\n{lines}\n"
            "Use the same settings, or start a new run from its weights: resume=none name=… "
            f"student.weights={source.path}"
        )


def _check_length(source: RunFolder, saved: Mapping[str, Any], config: TrainConfig) -> None:
    """Refuse to resume a run with a length that it is past."""
    loop = saved.get("loops", {}).get("fit_loop", {})
    epochs = loop.get("epoch_progress", {}).get("current", {}).get("processed", 0)  # whose batches are through
    for key, done, what in (("max_steps", saved.get("global_step", 0), "steps"), ("max_epochs", epochs, "epochs")):
        limit = config.trainer.get(key)
        if limit not in (None, -1) and done > limit:
            raise CheckpointError(
                f"the run in {source.path} has done {done} {what}, more than trainer.{key}={limit}: give at least "
                f"{done}, or start a new run: resume=none name=…"
            )


def _seed_process(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def build_data(config: TrainConfig) -> SceneDataModule:
    """Return the run's data."""
    data = config.data
    return SceneDataModule(
        data.name,
        data.root,
        size=data.size,
        augment=config.augment.recipe,
        augment_options=config.augment.options,
        batch_size=data.batch_size,
        val_batch_size=data.val_batch_size,
        workers=data.workers,
        seed=config.seed,
        train_split=data.train_split,
        val_split=data.val_split,
        label_size=data.label_size,
        dataset_options=data.options,
    )


def build_module(config: TrainConfig, data: SceneDataModule) -> SegmentationModule:
    """Return the module that the run trains: a distillation, or one segmenter where there is no loss for it.

    Raises:
        WeightsError: weights that are missing, damaged or of another architecture.
        ConfigError: losses that do not fit student and teacher.
    """
    classes, losses, schedule = data.classes, config.distillation.losses, config.schedule
    teacher = None
    if losses or starts_from_teacher(config.student):
        teacher = build_teacher(config.teacher, classes, data.name)
    student, student_weights = build_student(config.student, classes, teacher)
    weights = config.objective.class_weights
    options: dict[str, Any] = {
        "class_names": classes.names,
        "class_weights": {"none": None, "dataset": classes.weights}[weights] if isinstance(weights, str) else weights,
        "loss_resolution": config.objective.loss_resolution,
        "score_resolution": config.objective.score_resolution,
        "optimizer": partial(_optimizer, dict(config.optimizer)),
        "schedule": LinearEpochDecay(schedule.epochs)
        if schedule.name == "paper"
        else PolyWarmUp(schedule.power, schedule.warm_up, schedule.start),
        "channels_last": config.channels_last,
        "compile": config.compile,
    }
    if teacher is None or not losses:
        module = SegmentationModule(student, **options)
        module.weights_from = {"model": student_weights}
        return module
    distillation = DistillModule(student, teacher.segmenter, losses, **options)
    distillation.weights_from = {"student": student_weights, "teacher": teacher.text}
    return distillation


def _optimizer(node: dict[str, Any], parameters: Iterable[nn.Parameter]) -> Optimizer:
    optimizer: Optimizer = make(node, parameters)
    return optimizer
