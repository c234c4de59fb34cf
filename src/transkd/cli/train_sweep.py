"""A training run as a job of a sweep: only what is missing is done."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from hydra.core.hydra_config import HydraConfig

from transkd.cli.sweeps import Outcome, sweep_name
from transkd.errors import CheckpointError
from transkd.training.resuming import differing_keys
from transkd.training.run_folder import RunFolder

NEW_START = "resume=none"


def train_job(values: dict[str, Any], train: Callable[[dict[str, Any]], Mapping[str, Any]]) -> Outcome:
    """Train, go on with a run that was cut off, or find that the folder holds the finished run.

    Args:
        values: the job's config.
        train: runs it; returns what ``results.json`` holds.

    Raises:
        TransKDError: for everything that a user can mend.
    """
    folder = RunFolder(values["output"])
    if not any(text.startswith("resume=") for text in HydraConfig.get().overrides.task):
        finished = _finished(values, folder)
        if finished is not None:
            return _outcome("done before", folder, finished)
        values = {**values, "resume": "auto"}
    return _outcome("done", folder, train(_grouped(values)))


def _finished(values: Mapping[str, Any], folder: RunFolder) -> Mapping[str, Any] | None:
    """Return the results of the run in the folder, None where there is none or it has not ended.

    Raises:
        CheckpointError: if it is a run of another recipe.
    """
    if not folder.results.is_file():
        return None
    changed = differing_keys(folder.saved_config(), values, matter=("trainer", "teacher.weights"))
    if changed:
        listed = "; ".join(changed)
        raise CheckpointError(
            f"{folder.path} holds a finished run of other settings ({listed}): give this sweep's runs folders of their "
            "own by name=… or output=…, or move that run away"
        )
    results: Mapping[str, Any] = json.loads(folder.results.read_text())
    return results


def _grouped(values: dict[str, Any]) -> dict[str, Any]:
    """Let W&B show the sweep's runs together."""
    logger = values.get("logger") or {}
    wandb = logger.get("wandb")
    if wandb is None or wandb.get("group") is not None:
        return values
    return {**values, "logger": {**logger, "wandb": {**wandb, "group": sweep_name()}}}


def _outcome(fate: Any, folder: RunFolder, results: Mapping[str, Any]) -> Outcome:
    miou = results.get("miou")
    return Outcome(fate, str(folder.path), {"mIoU": None if miou is None else 100 * miou})
