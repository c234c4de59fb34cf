"""Resuming a run: which checkpoint, and whether it fits the config, the data and the length of the training now."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transkd.data import SceneDataModule
from transkd.errors import CheckpointError
from transkd.runs.checkpoints import read_checkpoint
from transkd.runs.folder import RunFolder
from transkd.runs.recipe import Comparison, config_differences


@dataclass(frozen=True)
class Resumption:
    """A checkpoint that a run resumes from.

    Attributes:
        path: the file.
        checkpoint: what it holds, read and verified once by the first process; empty on the others, which neither
            check nor log anything.
    """

    path: Path
    checkpoint: Mapping[str, Any]

    @property
    def source(self) -> RunFolder:
        """The folder of the run that the checkpoint is of."""
        return RunFolder(self.path.parent.parent)

    @property
    def step(self) -> int:
        """Optimiser steps done."""
        return int(self.checkpoint.get("global_step", 0))

    def check_config(self, values: Mapping[str, Any]) -> None:
        """Refuse to resume a run with another recipe; without a config in its folder nothing is compared.

        Args:
            values: the config now.

        Raises:
            CheckpointError: listing the keys that differ and matter.
        """
        saved = self.source.saved_config() if self.checkpoint else {}
        if changed := config_differences(saved, values, Comparison.RESUME):
            lines = "\n".join(f"  {line}" for line in changed)
            raise CheckpointError(
                f"the run in {self.source.path} cannot be resumed with another recipe; these keys differ:\n{lines}\n"
                "Use the same settings, or start a new run from its weights: resume=none name=… "
                f"student.weights={self.source.path}"
            )

    def check_data_and_length(self, data: SceneDataModule, trainer: Mapping[str, Any]) -> None:
        """Refuse to resume a run on other data, or with a length that it is past.

        Args:
            data: what is trained on now.
            trainer: the trainer's options now.

        Raises:
            CheckpointError: says what differs.
        """
        if not self.checkpoint:
            return
        data.check_same((self.checkpoint.get(type(data).__qualname__) or {}).get("data"))
        loop = self.checkpoint.get("loops", {}).get("fit_loop", {})
        epochs = loop.get("epoch_progress", {}).get("current", {}).get("processed", 0)  # whose batches are through
        for key, done, what in (("max_steps", self.step, "steps"), ("max_epochs", epochs, "epochs")):
            limit = trainer.get(key)
            if limit not in (None, -1) and done > limit:
                raise CheckpointError(
                    f"the run in {self.source.path} has done {done} {what}, more than trainer.{key}={limit}: give "
                    f"at least {done}, or start a new run: resume=none name=…"
                )

    def copy_best(self, folder: RunFolder) -> None:
        """Copy the best checkpoint so far into the run's folder, where that is a new one."""
        if self.source.best.exists() and not folder.best.exists():
            shutil.copy2(self.source.best, folder.best)


def find_resumption(resume: str, folder: RunFolder, is_first_process: bool) -> Resumption | None:
    """Return the checkpoint that ``resume=auto|PATH|none`` means, None for a new start.

    Args:
        resume: as in the config.
        folder: the run's folder.
        is_first_process: the first process checks folder and file; the others find a folder that is locked.

    Raises:
        ConfigError: the folder holds a run that would be overwritten, or foreign files.
        CheckpointError: the checkpoint does not exist or is damaged.
    """
    if is_first_process:
        path = folder.checkpoint_to_resume(resume)
        return None if path is None else Resumption(path, read_checkpoint(path))
    if resume in ("auto", "none"):
        return Resumption(folder.last, {}) if resume == "auto" and folder.last.exists() else None
    named = Path(resume).expanduser()
    return Resumption(RunFolder(named).last if named.is_dir() else named, {})
