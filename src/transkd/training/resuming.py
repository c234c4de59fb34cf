"""Going on with a run: which checkpoint, whether it fits, and what was logged after it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from transkd.data import SceneDataModule
from transkd.errors import CheckpointError
from transkd.runs.checkpoints import read_checkpoint
from transkd.runs.folder import RunFolder
from transkd.runs.recipe import Comparison, config_differences
from transkd.training.trainer import MetricsCSV


def find_checkpoint(resume: str, folder: RunFolder, is_first_process: bool) -> Path | None:
    """Return the checkpoint that ``resume=auto|PATH|none`` means, None to start anew.

    Args:
        resume: as in the config.
        folder: the run's folder.
        is_first_process: the first process checks folder and file; the others find a folder that is claimed.

    Raises:
        ConfigError: the folder holds a run that would be overwritten, or foreign files.
        CheckpointError: the checkpoint does not exist or is damaged.
    """
    if is_first_process:
        checkpoint = folder.checkpoint_to_resume(resume)
        if checkpoint is not None:
            read_checkpoint(checkpoint)
        return checkpoint
    if resume in ("auto", "none"):
        return folder.last if resume == "auto" and folder.last.exists() else None
    named = Path(resume).expanduser()
    return RunFolder(named).last if named.is_dir() else named


def check_same_recipe(values: Mapping[str, Any], source: RunFolder) -> None:
    """Refuse to go on with a run under another recipe.

    Args:
        values: the config now.
        source: the folder of the run that is gone on with; without a config in it nothing is compared.

    Raises:
        CheckpointError: listing the keys that differ and matter.
    """
    changed = config_differences(source.saved_config(), values, Comparison.RESUME)
    if changed:
        lines = "\n".join(f"  {line}" for line in changed)
        raise CheckpointError(
            f"the run in {source.path} cannot be gone on with under another recipe; these keys differ:\n{lines}\n"
            "Use the same settings, or start a new run from its weights: resume=none name=… "
            f"student.weights={source.path}"
        )


def check_goes_on(checkpoint: Path, trainer: Mapping[str, Any], data: SceneDataModule) -> None:
    """Refuse to go on with a run on other data, or to an end that it is past.

    Args:
        checkpoint: of the run.
        trainer: the trainer's options now.
        data: what is trained on now.

    Raises:
        CheckpointError: says what differs.
    """
    saved = read_checkpoint(checkpoint)
    data.check_same((saved.get(type(data).__qualname__) or {}).get("data"))
    loop = saved.get("loops", {}).get("fit_loop", {})
    epochs = loop.get("epoch_progress", {}).get("current", {}).get("processed", 0)  # whose batches are through
    for key, done, what in (("max_steps", saved.get("global_step", 0), "steps"), ("max_epochs", epochs, "epochs")):
        limit = trainer.get(key)
        if limit not in (None, -1) and done > limit:
            raise CheckpointError(
                f"the run in {checkpoint.parent.parent} has done {done} {what}, more than trainer.{key}={limit}: give "
                f"at least {done}, or start a new run: resume=none name=…"
            )


def adopt_best(checkpoint: Path, folder: RunFolder) -> None:
    """Take along the best checkpoint of the run that is gone on with, where the folder is a new one."""
    best = RunFolder(checkpoint.parent.parent).best
    if best.exists() and not folder.best.exists():
        shutil.copy2(best, folder.best)


def rewind_metrics(loggers: Iterable[Logger], checkpoint: Path | None) -> None:
    """Drop from ``metrics.csv`` what was logged after the checkpoint: the resumed run logs it again.

    Without one the run starts anew, and nothing stays: it may have been killed before its first checkpoint.
    """
    step = 0 if checkpoint is None else int(read_checkpoint(checkpoint).get("global_step", 0))
    for logger in loggers:
        if isinstance(logger, MetricsCSV):
            logger.rewind(step)
