"""One training run, from a checked config to a scored, saved and pictured segmenter."""

from __future__ import annotations

import importlib
import os
import random
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.strategies import DDPStrategy
from rich.console import Console

from transkd.data import SceneDataModule
from transkd.errors import ConfigError
from transkd.training.build import RANDOM, build_data, build_module, image_size
from transkd.training.callbacks import LineProgress, RandomState, RunCheckpoints, ScenePictures, StudentEMA
from transkd.training.checkpoint_io import SafeCheckpointIO
from transkd.training.config import TrainConfig, parse_config
from transkd.training.console import new_console, quiet_lightning
from transkd.training.distill_module import RANDOM_TEACHER, DistillModule
from transkd.training.instantiate import make
from transkd.training.loggers import build_loggers
from transkd.training.preflight import print_preflight
from transkd.training.results import finish
from transkd.training.resuming import check_same_recipe, find_checkpoint, rewind_metrics
from transkd.training.run_folder import RunFolder
from transkd.training.segmentation_module import SegmentationModule


def train(values: Mapping[str, Any], *, console: Console | None = None) -> dict[str, Any]:
    """Run a training as a config says, and return what ``results.json`` then holds.

    Args:
        values: the composed config in plain containers.
        console: where to print; standard output by default.

    Raises:
        TransKDError: for everything that a user can mend, before the first step wherever it can be known then.
        StopRequestedError: a signal stopped the run; ``resume=auto`` goes on with it.
    """
    config = parse_config(values)
    first = int(os.environ.get("LOCAL_RANK", "0")) == 0 and int(os.environ.get("NODE_RANK", "0")) == 0
    console = console or new_console(quiet=not first)
    quiet_lightning()
    for name in config.imports:
        _import(name)

    folder = RunFolder(config.output)
    checkpoint = find_checkpoint(config.resume, folder, first)
    L.seed_everything(config.seed, workers=False, verbose=False)
    data = build_data(config)
    data.setup("fit")
    module = build_module(config, data)
    if not first:
        return _fit(config, values, folder, checkpoint, data, module, console)
    if checkpoint is not None:
        check_same_recipe(values, RunFolder(checkpoint.parent.parent))
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
        if isinstance(module, DistillModule) and config.teacher.weights == RANDOM:
            console.print(
                f"[bold red]WARNING: {RANDOM_TEACHER.format(name=config.teacher.backbone)}[/]", soft_wrap=True
            )
        print_preflight(
            module, image_size(data), _facts(config, folder, data, module, trainer, checkpoint), console
        )
    _seed_process(config.seed + trainer.global_rank)
    if checkpoint is not None:
        rewind_metrics(trainer.loggers, checkpoint)
    started = time.monotonic()
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except torch.OutOfMemoryError as error:
        raise ConfigError(
            f"the device is out of memory: lower data.batch_size (it is {config.data.batch_size}) or data.size, or "
            f"set trainer.precision=bf16-mixed ({str(error).splitlines()[0]})"
        ) from error
    seconds = time.monotonic() - started
    return finish(config, folder, trainer, data, module, seconds, console)


def build_trainer(
    config: TrainConfig, values: Mapping[str, Any], folder: RunFolder, data: SceneDataModule, console: Console
) -> L.Trainer:
    """Return Lightning's Trainer with the run's own callbacks, loggers and checkpoint files."""
    options = dict(config.trainer)
    several = options.get("devices", 1) not in (1, "1", [0]) or options.get("num_nodes", 1) > 1
    if several and options.get("strategy", "auto") in ("auto", "ddp"):
        backend = "gloo" if options.get("accelerator") == "cpu" else None
        options["strategy"] = DDPStrategy(find_unused_parameters=True, process_group_backend=backend)
    batches = max(1, len(data.train_dataloader()))
    limit = options.get("limit_train_batches")
    if isinstance(limit, int) and not isinstance(limit, bool):
        batches = min(batches, max(1, limit))
    options["log_every_n_steps"] = min(options.get("log_every_n_steps") or 50, batches)
    is_first = int(os.environ.get("LOCAL_RANK", "0")) == 0 and int(os.environ.get("NODE_RANK", "0")) == 0
    return L.Trainer(
        **options,
        callbacks=_callbacks(config, folder, data, options.get("enable_progress_bar", True), console),
        logger=build_loggers(config.logger, folder, config.name, values, is_first_process=is_first),
        plugins=[SafeCheckpointIO()],
        default_root_dir=folder.path,
        use_distributed_sampler=False,
    )


def _callbacks(
    config: TrainConfig, folder: RunFolder, data: SceneDataModule, progress: bool, console: Console
) -> list[Callback]:
    classes = data.classes
    callbacks: list[Callback] = [
        make(node, "lightning.pytorch.callbacks.Callback") for node in config.callbacks.values()
    ]
    callbacks.append(RandomState())
    if config.ema_decay is not None:
        callbacks.append(StudentEMA(config.ema_decay))
    callbacks.append(ScenePictures(folder.predictions, classes.names, classes.palette, count=config.pictures))
    if progress:
        callbacks.append(RichProgressBar(leave=False) if console.is_terminal else LineProgress())
    callbacks.append(RunCheckpoints(folder.checkpoints, every_n_steps=config.checkpoint.every_n_steps))
    return callbacks


def _facts(
    config: TrainConfig,
    folder: RunFolder,
    data: SceneDataModule,
    module: SegmentationModule,
    trainer: L.Trainer,
    checkpoint: Path | None,
) -> dict[str, str]:
    training, validation = len(data.train_dataset), len(data.val_dataset)
    height, width = image_size(data)
    losses = ", ".join(f"{name} x {weight:g}" for name, weight in module.loss_weights.items())
    batch = config.data.batch_size * trainer.accumulate_grad_batches * trainer.world_size
    facts = {
        "run": f"{config.name} in {folder.path}" + (f", resumed from {checkpoint}" if checkpoint else ""),
        "data": f"{config.data.name}: {training} training and {validation} validation scenes, {len(data.classes.names)} classes, trained at {height}x{width} ({config.augment.recipe})",
        "method": f"{config.distillation.name}: cross-entropy" + (f" + {losses}" if losses else ""),
        "student": f"from {'scratch' if config.student.weights in (None, 'scratch') else config.student.weights}",
        "teacher": f"from {config.teacher.weights}" if isinstance(module, DistillModule) else "none",
        "recipe": f"{config.optimizer['_target_'].rpartition('.')[2]} lr {config.optimizer.get('lr')}, {config.schedule.name} schedule, batch {batch}, {_length(trainer)}, seed {config.seed}",
        "device": f"{trainer.accelerator.__class__.__name__.removesuffix('Accelerator')} x {trainer.world_size}, precision {trainer.precision}",
    }
    return facts


def _length(trainer: L.Trainer) -> str:
    if trainer.max_steps > 0:
        return f"{trainer.max_steps} steps"
    return f"{trainer.max_epochs} epochs"


def _seed_process(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _import(name: str) -> None:
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"imports: the module '{name}' cannot be imported ({error}); it is looked for in the current folder too"
        ) from error
