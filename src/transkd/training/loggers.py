"""Loggers of a run: metrics.csv always, TensorBoard and Weights & Biases where asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_warn

from transkd.errors import ConfigError
from transkd.training.config import LoggerConfig, WandbConfig
from transkd.training.metrics_csv import MetricsCSV
from transkd.training.run_folder import RunFolder

Mode = Literal["online", "offline", "disabled"]


def build_loggers(
    config: LoggerConfig,
    folder: RunFolder,
    run_name: str,
    values: Mapping[str, Any],
    *,
    is_first_process: bool,
) -> list[Logger]:
    """Return the run's loggers, ``metrics.csv`` first.

    Args:
        config: which loggers beside it.
        folder: the run's folder.
        run_name: the run's name in W&B.
        values: the run's config, shown in W&B.
        is_first_process: whether this process is the one that logs; the others open no connection.
    """
    loggers: list[Logger] = [MetricsCSV(folder.metrics)]
    if config.tensorboard is not None:
        loggers.append(_tensorboard(folder.path))
    if config.wandb is not None:
        loggers.append(_wandb(config.wandb, folder.path, run_name, values, is_first_process))
    return loggers


def _tensorboard(folder: Path) -> Logger:
    try:
        return TensorBoardLogger(folder, name="", version="tensorboard")
    except ModuleNotFoundError as error:
        raise ConfigError("logger=tensorboard needs TensorBoard: pip install 'transkd[tensorboard]'") from error


def _wandb(config: WandbConfig, folder: Path, name: str, values: Mapping[str, Any], is_first: bool) -> Logger:
    options: dict[str, Any] = {
        "name": name,
        "project": config.project,
        "save_dir": str(folder),
        "entity": config.entity,
        "group": config.group,
        "tags": config.tags,
        "config": dict(values),
    }
    if is_first:
        start_wandb(config, options)
    return WandbLogger(**{key: value for key, value in options.items() if value is not None})


def start_wandb(config: WandbConfig, options: Mapping[str, Any]) -> None:
    """Start the W&B run that ``WandbLogger`` then takes over; offline where online does not work.

    A run never fails because of W&B: without a key, or where the server does not answer in time, the run is
    logged offline and a warning says how to upload it.
    """
    import wandb

    wandb.finish()
    start = {key: value for key, value in options.items() if key != "save_dir"} | {
        "dir": options["save_dir"],
        "settings": wandb.Settings(init_timeout=config.timeout, silent=True),
    }
    mode = _mode(config)
    if mode == "online":
        try:
            wandb.init(mode="online", **start)
            return
        except Exception as error:
            wandb.finish()
            rank_zero_warn(f"W&B could not be reached ({error}): logging offline")
    wandb.init(mode="disabled" if mode == "disabled" else "offline", **start)
    if mode != "disabled":
        rank_zero_warn(f"W&B logs offline; upload later by: wandb sync {options['save_dir']}/wandb/offline-run-*")


def _mode(config: WandbConfig) -> Mode:
    if config.mode != "auto":
        return config.mode
    if os.environ.get("WANDB_MODE") == "disabled":
        return "disabled"
    if os.environ.get("WANDB_MODE") == "offline":
        return "offline"
    return "online" if _has_key() else "offline"


def _has_key() -> bool:
    import wandb

    try:
        return bool(os.environ.get("WANDB_API_KEY") or wandb.api.api_key)
    except Exception:
        return False
