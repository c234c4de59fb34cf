"""Lightning's Trainer, with a run's own callbacks, loggers and checkpoint files."""

from __future__ import annotations

import csv
import logging
import os
import warnings
from argparse import Namespace
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import lightning as L
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_warn
from rich import get_console
from rich.console import Console

from transkd.data import SceneDataModule
from transkd.errors import ConfigError
from transkd.files import replacing
from transkd.runs.checkpoints import SafeCheckpointIO
from transkd.runs.folder import RunFolder
from transkd.training.callbacks import (
    EpochBar,
    LineProgress,
    RandomState,
    RunCheckpoints,
    RunClock,
    ScenePictures,
    StudentEMA,
)
from transkd.training.checks import CALLBACK, make
from transkd.training.config import LoggerConfig, TrainConfig, WandbConfig
from transkd.training.resuming import Resumption

PLAIN_WIDTH = 120
NOT_FOR_USERS = (
    r".*isinstance\(treespec, LeafSpec\).*",
    r".*callbacks returned in `LightningModule.configure_callbacks` will override.*",
    r".*does not have many workers.*",
    r".*Loading `train_dataloader` to estimate.*",
    r".*It is recommended to use `self.log\(.*sync_dist=True.*",
    r"Grad strides do not match bucket view strides.*",
    r"There is a wandb run already in progress.*",
    r".*module\(s\) in eval mode at the start of training.*",
)


def new_console(*, quiet: bool = False) -> Console:
    """Return a console for standard output, wide enough for tables where it is not a terminal.

    At a terminal it is rich's own, which Lightning's progress bars are drawn on too: they would draw over what another
    one prints.
    """
    console = get_console()
    if not quiet and console.is_terminal:
        return console
    return Console(quiet=quiet, width=None if console.is_terminal else PLAIN_WIDTH)


def quiet_lightning() -> None:
    """Hide Lightning's tips and the warnings that a user of a command can do nothing about."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in NOT_FOR_USERS:
        warnings.filterwarnings("ignore", message=message)


FLUSH_ROWS = 50


class MetricsCSV(Logger):
    """Write one row a logged step; a value that was not logged then is empty.

    Args:
        path: the file. One that exists is continued: :meth:`rewind` drops what came after a step.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = Path(path)
        self._rows: list[dict[str, str]] = []
        self._unsaved = 0
        if self.path.exists():
            with self.path.open(newline="") as file:
                self._rows = list(csv.DictReader(file))

    @property
    def name(self) -> str:
        """The logger's name."""
        return "csv"

    @property
    def version(self) -> str:
        """The version, which a run's folder has only one of."""
        return ""

    @property
    def rows(self) -> list[dict[str, str]]:
        """All rows so far, each a mapping from column to text."""
        return self._rows

    def rewind(self, step: int) -> None:
        """Drop the rows of ``step`` and after: a run resumed there writes them again."""
        self._rows = [row for row in self._rows if int(row["step"]) < step]

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run's ``config.yaml`` has them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a row, or to the last row if it is of the same step."""
        values = {name: _text(value) for name, value in metrics.items()}
        last = self._rows[-1] if self._rows else None
        if last is not None and last["step"] == str(step) and not values.keys() & (last.keys() - {"epoch"}):
            last.update(values)
        else:
            self._rows.append({"step": str(step), **values})
        self._unsaved += 1
        if self._unsaved >= FLUSH_ROWS:
            self.save()

    @rank_zero_only
    def save(self) -> None:
        """Write the file, whole and at once."""
        columns = dict.fromkeys(["epoch", "step"])
        for row in self._rows:
            columns.update(dict.fromkeys(row))
        with replacing(self.path) as partial, partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(columns), restval="")
            writer.writeheader()
            writer.writerows(self._rows)
        self._unsaved = 0

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is left."""
        if self._rows:
            self.save()


def _text(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


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
    import wandb

    if config.mode != "auto":
        return config.mode
    named = os.environ.get("WANDB_MODE")
    if named in ("disabled", "offline"):
        return "disabled" if named == "disabled" else "offline"
    try:
        return "online" if os.environ.get("WANDB_API_KEY") or wandb.api.api_key else "offline"
    except Exception:  # of a damaged netrc or settings file
        return "offline"


def rewind_metrics(loggers: Iterable[Logger], step: int) -> None:
    """Drop from ``metrics.csv`` what was logged at ``step`` and after: the resumed run logs it again.

    A new start, at step 0, keeps nothing: a run there may have been killed before its first checkpoint.
    """
    for logger in loggers:
        if isinstance(logger, MetricsCSV):
            logger.rewind(step)


RANKS = ("LOCAL_RANK", "NODE_RANK", "RANK", "GROUP_RANK", "SLURM_PROCID")
"""Environment variables in which launchers (Lightning, torchrun, srun) number processes."""


def is_first_process() -> bool:
    """Return whether this is the process that owns the run's folder, also before a trainer exists."""
    return all(int(os.environ.get(name, "0")) == 0 for name in RANKS)


def build_trainer(
    config: TrainConfig,
    values: Mapping[str, Any],
    folder: RunFolder,
    data: SceneDataModule,
    console: Console,
    resumption: Resumption | None,
) -> L.Trainer:
    """Return the trainer of a run.

    Args:
        config: the run's config; its ``trainer`` section goes to Lightning, but for ``max_time``, which the run's own
            clock keeps: it stops between optimiser steps only, and over all sessions.
        values: the same in plain containers, for the loggers.
        folder: the run's folder.
        data: the run's data, set up.
        console: decides between a progress bar and lines.
        resumption: what the run resumes from; its checkpoint is not read again.
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
        plugins=[SafeCheckpointIO({resumption.path: dict(resumption.checkpoint)} if resumption else None)],
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
    callbacks: list[Callback] = [make(node, CALLBACK) for node in dict(config.callbacks).values()]
    callbacks.append(RunClock(config.trainer.get("max_time"), config.trainer.get("max_steps", -1)))
    callbacks.append(RandomState())
    if config.ema_decay is not None:
        callbacks.append(StudentEMA(config.ema_decay))
    callbacks.append(ScenePictures(folder.predictions, classes.names, classes.palette, count=config.pictures))
    if config.trainer.get("enable_progress_bar", True):
        callbacks.append(EpochBar(leave=False) if console.is_interactive else LineProgress())
    callbacks.append(RunCheckpoints(folder.checkpoints, every_n_steps=config.checkpoint.every_n_steps))
    return callbacks
