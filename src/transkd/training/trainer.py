"""Lightning's Trainer, with a run's own callbacks, loggers and checkpoint files."""

from __future__ import annotations

import csv
import os
from argparse import Namespace
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

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
from transkd.runs.results import Results
from transkd.training.callbacks.checkpoints import RandomState, RunCheckpoints
from transkd.training.callbacks.pictures import ScenePictures
from transkd.training.callbacks.timing import EpochBar, LineProgress, RunClock
from transkd.training.callbacks.weights import StudentEMA
from transkd.training.checks import make
from transkd.training.config import TrainConfig, WandbConfig

PLAIN_WIDTH = 120
RANKS = ("LOCAL_RANK", "NODE_RANK", "RANK", "GROUP_RANK", "SLURM_PROCID")
"""Environment variables in which launchers (Lightning, torchrun, srun) number processes."""


def is_first_process() -> bool:
    """Return whether this is the process that owns the run's folder, also before a trainer exists."""
    return all(int(os.environ.get(name, "0")) == 0 for name in RANKS)


def new_console(*, quiet: bool = False) -> Console:
    """Return a console for standard output: at a terminal that of Lightning's progress bars, elsewhere a wide one."""
    console = get_console()
    if not quiet and console.is_terminal:
        return console
    return Console(quiet=quiet, width=None if console.is_terminal else PLAIN_WIDTH)


def build_trainer(
    config: TrainConfig,
    values: Mapping[str, Any],
    folder: RunFolder,
    data: SceneDataModule,
    console: Console,
    loaded: Mapping[Path, dict[str, Any]],
) -> L.Trainer:
    """Return the trainer of a run; a checkpoint that is ``loaded`` already, by its path, is not read again.

    The section ``trainer`` of the config goes to Lightning, but for ``max_time``: the run's own clock stops between
    optimiser steps only, and counts over all sessions.
    """
    options = dict(config.trainer)
    if options.pop("max_time", None) is not None and options.get("max_epochs") is None:
        options["max_epochs"] = -1
    devices = options.get("devices", 1)
    one = len(devices) == 1 if isinstance(devices, list | tuple) else devices in (1, "1")
    if options.get("strategy", "auto") in ("auto", "ddp") and not (one and options.get("num_nodes", 1) == 1):
        backend = "gloo" if options.get("accelerator") == "cpu" else None
        options["strategy"] = DDPStrategy(process_group_backend=backend)
    batches, limit = max(1, len(data.train_dataloader())), options.get("limit_train_batches")
    if isinstance(limit, int) and not isinstance(limit, bool):
        batches = min(batches, max(1, limit))
    options["log_every_n_steps"] = min(options.get("log_every_n_steps") or 50, batches)
    return L.Trainer(
        **options,
        callbacks=_callbacks(config, folder, data, console),
        logger=_loggers(config, folder, values),
        plugins=[SafeCheckpointIO(loaded)],
        default_root_dir=folder.path,
        use_distributed_sampler=False,
    )


def _callbacks(config: TrainConfig, folder: RunFolder, data: SceneDataModule, console: Console) -> list[Callback]:
    classes = data.classes
    callbacks: list[Callback] = [make(node) for node in dict(config.callbacks).values()]
    callbacks.append(RunClock(config.trainer.get("max_time"), config.trainer.get("max_steps", -1)))
    callbacks.append(RandomState())
    if config.ema_decay is not None:
        callbacks.append(StudentEMA(config.ema_decay))
    callbacks.append(ScenePictures(folder.predictions, classes.names, classes.palette, count=config.pictures))
    if config.trainer.get("enable_progress_bar", True):
        callbacks.append(EpochBar(leave=False) if console.is_interactive else LineProgress())
    callbacks.append(RunCheckpoints(folder.checkpoints, every_n_steps=config.checkpoint.every_n_steps))
    return callbacks


def _loggers(config: TrainConfig, folder: RunFolder, values: Mapping[str, Any]) -> list[Logger]:
    """Return the run's loggers, ``metrics.csv`` first; only the first process starts a run of W&B."""
    loggers: list[Logger] = [MetricsCSV(folder.metrics)]
    if config.logger.tensorboard is not None:
        try:
            loggers.append(TensorBoardLogger(folder.path, name="", version="tensorboard"))
        except ModuleNotFoundError as error:
            raise ConfigError("logger=tensorboard needs TensorBoard: pip install 'transkd[tensorboard]'") from error
    wandb = config.logger.wandb
    if wandb is not None:
        run = start_wandb(wandb, config.name, folder.path, values) if is_first_process() else None
        loggers.append(WandbLogger(experiment=run, project=wandb.project, save_dir=folder.path))
    return loggers


class MetricsCSV(Logger):
    """Write one row a logged step into a file, which is continued if it exists; what was not logged then is empty."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = Path(path)
        self._rows: list[dict[str, str]] = []
        if self.path.exists():
            with self.path.open(newline="") as file:
                self._rows = list(csv.DictReader(file))

    @property
    def name(self) -> str:
        """The logger's name."""
        return "csv"

    @property
    def version(self) -> str:
        """The version, of which a run's folder has only one."""
        return ""

    def rewind(self, step: int) -> None:
        """Drop the rows of ``step`` and after: a run resumed there writes them again, and one started anew all."""
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

    @rank_zero_only
    def save(self) -> None:
        """Write the file, whole and at once; Lightning calls this after each row."""
        columns = dict.fromkeys(["epoch", "step", *(name for row in self._rows for name in row)])
        with replacing(self.path) as partial, partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(columns), restval="")
            writer.writeheader()
            writer.writerows(self._rows)


def _text(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def start_wandb(config: WandbConfig, name: str, folder: Path, values: Mapping[str, Any]) -> Any:
    """Start and return a run of W&B; without a key, or where the server does not answer in time, an offline one."""
    import wandb

    wandb.finish()  # of the job before in a sweep
    options = {
        **config.model_dump(include={"project", "entity", "group", "tags"}),
        "name": name,
        "dir": str(folder),
        "config": dict(values),
        "settings": wandb.Settings(init_timeout=config.timeout, silent=True),
    }
    mode: Any = os.environ.get("WANDB_MODE", "online") if config.mode == "auto" else config.mode
    if mode == "disabled":
        return wandb.init(mode=mode, **options)
    if mode == "online" and (config.mode == "online" or _has_key()):
        try:
            return wandb.init(mode=mode, **options)
        except Exception as error:  # whatever W&B raises, the training runs
            wandb.finish()
            rank_zero_warn(f"W&B could not be reached ({error}): logging offline")
    rank_zero_warn(f"W&B logs offline; upload later by: wandb sync {folder}/wandb/offline-run-*")
    return wandb.init(mode="offline", **options)


def _has_key() -> bool:
    import wandb

    try:
        return bool(os.environ.get("WANDB_API_KEY") or wandb.api.api_key)
    except Exception:  # of a damaged netrc or settings file
        return False


def log_to_wandb(loggers: Iterable[Logger], results: Results) -> None:
    """Give W&B the results, numbers as summary (``final/…``) and classes as a table, and end the run there."""
    for logger in (logger for logger in loggers if isinstance(logger, WandbLogger)):
        import wandb

        run = logger.experiment
        values = results.as_dict()
        facts = {name: value for name, value in values.items() if isinstance(value, int | float)}
        facts |= {f"training/{name}": value for name, value in values["training"].items() if value is not None}
        run.summary.update({f"final/{name}": value for name, value in facts.items()})
        run.summary["final/weights_sha256"] = results.weights_sha256
        if results.per_class:
            classes = [[name, iou] for name, iou in results.per_class.items()]
            run.log({"final/per_class": wandb.Table(columns=["class", "IoU"], data=classes)})
        run.finish()
