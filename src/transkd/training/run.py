"""One training run, from a checked config to a scored, saved and pictured segmenter."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from rich.console import Console

from transkd.data import SceneDataModule
from transkd.errors import ConfigError
from transkd.runs.folder import RunFolder
from transkd.training.build import RANDOM, build_data, build_module, image_size, weights_choice
from transkd.training.checks import import_own_modules
from transkd.training.config import TrainConfig
from transkd.training.distill_module import DistillModule
from transkd.training.given_segmenters import RANDOM_TEACHER
from transkd.training.preflight import print_preflight, run_facts
from transkd.training.results import finish, run_clock
from transkd.training.resuming import adopt_best, check_goes_on, check_same_recipe, find_checkpoint, rewind_metrics
from transkd.training.segmentation_module import SegmentationModule
from transkd.training.trainer import build_trainer, is_first_process, new_console, quiet_lightning


def train(values: Mapping[str, Any], *, console: Console | None = None) -> dict[str, Any]:
    """Run a training as a config says, and return what ``results.json`` then holds.

    Args:
        values: the composed config in plain containers.
        console: where to print; standard output by default.

    Raises:
        TransKDError: for everything that a user can mend, before the first step wherever it can be known then.
        StopRequestedError: a signal stopped the run; ``resume=auto`` goes on with it.
    """
    import_own_modules(values)
    config = TrainConfig.validated(values)
    first = is_first_process()
    console = console or new_console(quiet=not first)
    quiet_lightning()
    folder = RunFolder(config.output)
    checkpoint = find_checkpoint(config.resume, folder, first)
    if first and checkpoint is not None:
        check_same_recipe(values, RunFolder(checkpoint.parent.parent))
    L.seed_everything(config.seed, workers=False, verbose=False)
    data = build_data(config)
    data.setup("fit")
    if first and checkpoint is not None:
        check_goes_on(checkpoint, dict(config.trainer), data)
    module = build_module(config, data)
    if not first:
        return _fit(config, values, folder, checkpoint, data, module, console)
    with folder.claimed(values):
        return _fit(config, values, folder, checkpoint, data, module, console)


def _fit(
    config: TrainConfig,
    values: Mapping[str, Any],
    folder: RunFolder,
    checkpoint: Path | None,
    data: SceneDataModule,
    module: SegmentationModule,
    console: Console,
) -> dict[str, Any]:
    trainer = build_trainer(config, values, folder, data, console)
    if trainer.is_global_zero:
        if isinstance(module, DistillModule) and weights_choice(config.teacher) == RANDOM:
            console.print(
                f"[bold red]WARNING: {RANDOM_TEACHER.format(name=config.teacher.backbone)}[/]", soft_wrap=True
            )
        print_preflight(module, image_size(data), run_facts(config, data, module, trainer, checkpoint), console)
    _seed_process(config.seed + trainer.global_rank)
    rewind_metrics(trainer.loggers, checkpoint)
    if checkpoint is not None and trainer.is_global_zero:
        adopt_best(checkpoint, folder)
    if isinstance(module, DistillModule):
        module.console = console
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except torch.OutOfMemoryError as error:
        raise ConfigError(
            f"the device is out of memory: lower data.batch_size (it is {config.data.batch_size}) or data.size, or "
            f"set trainer.precision=bf16-mixed ({str(error).splitlines()[0]})"
        ) from error
    _say_if_cut_short(trainer, console)
    return finish(config, folder, trainer, data, module, console)


def _say_if_cut_short(trainer: L.Trainer, console: Console) -> None:
    """Say what it means that ``trainer.max_time`` ended the run: no schedule came to its end."""
    clock = run_clock(trainer)
    total = trainer.estimated_stepping_batches
    if clock.stopped_by(trainer) == "time":
        console.print(
            f"stopped by trainer.max_time after step {trainer.global_step} of {total:.0f}: schedules span all "
            f"{total:.0f}, so the learning rate and the losses' weights stopped on their way. As many steps with "
            f"complete schedules: trainer.max_steps={trainer.global_step}",
            soft_wrap=True,
        )


def _seed_process(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
