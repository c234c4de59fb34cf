"""Lightning's Trainer, with a run's own callbacks, loggers and checkpoint files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy
from rich.console import Console

from transkd.data import SceneDataModule
from transkd.training.callbacks import (
    EpochBar,
    LineProgress,
    RandomState,
    RunCheckpoints,
    RunClock,
    ScenePictures,
    StudentEMA,
)
from transkd.training.checkpoint_io import SafeCheckpointIO
from transkd.training.config import TrainConfig
from transkd.training.instantiate import make
from transkd.training.loggers import build_loggers
from transkd.training.run_folder import RunFolder

RANKS = ("LOCAL_RANK", "NODE_RANK", "RANK", "GROUP_RANK", "SLURM_PROCID")
"""What launchers (Lightning, torchrun, srun) tell a process its place by."""


def is_first_process() -> bool:
    """Return whether this is the process that owns the run's folder, also before a trainer exists."""
    return all(int(os.environ.get(name, "0")) == 0 for name in RANKS)


def build_trainer(
    config: TrainConfig, values: Mapping[str, Any], folder: RunFolder, data: SceneDataModule, console: Console
) -> L.Trainer:
    """Return the trainer of a run.

    Args:
        config: the run's config; its ``trainer`` section goes to Lightning, but for ``max_time``, which the run's own
            clock keeps: it stops between optimiser steps only, and over all sessions.
        values: the same in plain containers, for the loggers.
        folder: the run's folder.
        data: the run's data, set up.
        console: decides between a progress bar and lines.
    """
    options = dict(config.trainer)
    if options.pop("max_time", None) is not None and options.get("max_epochs") is None:
        options["max_epochs"] = -1
    if _has_several_processes(options) and options.get("strategy", "auto") in ("auto", "ddp"):
        backend = "gloo" if options.get("accelerator") == "cpu" else None
        options["strategy"] = DDPStrategy(process_group_backend=backend)
    options["log_every_n_steps"] = min(options.get("log_every_n_steps") or 50, _batches(options, data))
    return L.Trainer(
        **options,
        callbacks=_callbacks(config, folder, data, console),
        logger=build_loggers(config.logger, folder, config.name, values, is_first_process=is_first_process()),
        plugins=[SafeCheckpointIO()],
        default_root_dir=folder.path,
        use_distributed_sampler=False,
    )


def _has_several_processes(options: Mapping[str, Any]) -> bool:
    devices = options.get("devices", 1)
    several = len(devices) != 1 if isinstance(devices, list | tuple) else devices not in (1, "1")
    return several or options.get("num_nodes", 1) > 1


def _batches(options: Mapping[str, Any], data: SceneDataModule) -> int:
    batches = max(1, len(data.train_dataloader()))
    limit = options.get("limit_train_batches")
    return min(batches, max(1, limit)) if isinstance(limit, int) and not isinstance(limit, bool) else batches


def _callbacks(config: TrainConfig, folder: RunFolder, data: SceneDataModule, console: Console) -> list[Callback]:
    classes = data.classes
    callbacks: list[Callback] = [
        make(node, "lightning.pytorch.callbacks.Callback") for node in config.callbacks.values()
    ]
    callbacks.append(RunClock(config.trainer.get("max_time"), config.trainer.get("max_steps", -1)))
    callbacks.append(RandomState())
    if config.ema_decay is not None:
        callbacks.append(StudentEMA(config.ema_decay))
    callbacks.append(ScenePictures(folder.predictions, classes.names, classes.palette, count=config.pictures))
    if config.trainer.get("enable_progress_bar", True):
        callbacks.append(EpochBar(leave=False) if console.is_interactive else LineProgress())
    callbacks.append(RunCheckpoints(folder.checkpoints, every_n_steps=config.checkpoint.every_n_steps))
    return callbacks
