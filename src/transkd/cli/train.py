"""``transkd-train``: train a teacher, a plain student, or distil a student, alone or as a job of a sweep."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from transkd.cli.app import main
from transkd.cli.progress import starting
from transkd.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from transkd.cli.sweep.jobs import Outcome
    from transkd.runs.folder import RunFolder


def run_train(values: dict[str, Any]) -> Outcome | None:
    """Train, alone or as a job of a sweep."""
    from transkd.cli.sweep.jobs import in_sweep

    if in_sweep():
        return train_job(values, _run)
    _run(values)
    return None


def _run(values: dict[str, Any]) -> dict[str, Any]:
    with starting("transkd-train"):
        from transkd.training.callbacks import StopRequestedError
        from transkd.training.run import train

    try:
        return train(values)
    except StopRequestedError as stop:
        print(f"{stop}: the run is saved; the same command with resume=auto resumes it", file=sys.stderr)
        sys.exit(128 + stop.signal)


def train_job(values: dict[str, Any], train: Callable[[dict[str, Any]], Mapping[str, Any]]) -> Outcome:
    """Train, resume a run that was cut off, or find that the folder holds the finished run.

    Args:
        values: the job's config.
        train: runs it; returns what ``results.json`` holds.

    Raises:
        TransKDError: for everything that a user can correct.
    """
    from hydra.core.hydra_config import HydraConfig

    from transkd.runs.folder import RunFolder

    _refuse_several_processes(values["trainer"])
    folder = RunFolder(values["output"])
    if not any(text.startswith("resume=") for text in HydraConfig.get().overrides.task):
        finished = _finished(values, folder)
        if finished is not None:
            return _outcome("done before", folder, finished)
        values = {**values, "resume": "auto"}
    return _outcome("done", folder, train(_grouped(values)))


def _refuse_several_processes(trainer: Mapping[str, Any]) -> None:
    """Raise a ConfigError for a run that would start processes itself: each would start the whole sweep again."""
    devices, nodes = trainer.get("devices", 1), trainer.get("num_nodes", 1)
    one = isinstance(devices, list) and len(devices) == 1
    if "SLURM_JOB_ID" in os.environ or (nodes == 1 and (one or devices in (1, "1", "auto", None))):
        return  # SLURM starts the processes of a run itself
    raise ConfigError(
        f"trainer.devices={devices}, trainer.num_nodes={nodes}: a job of a sweep is one process on one device; let "
        "several jobs share the machine by hydra/launcher=joblib, or run them one by one without -m"
    )


def _finished(values: Mapping[str, Any], folder: RunFolder) -> Mapping[str, Any] | None:
    """Return the results of the run in the folder, None where there is none or it has not ended.

    Raises:
        CheckpointError: if it is a run of another recipe.
    """
    if not folder.results.is_file():
        return None
    from transkd.runs.recipe import Comparison, config_differences

    results, config = _read(folder)
    changed = config_differences(config, values, Comparison.FINISHED)
    if changed:
        listed = "; ".join(changed)
        raise CheckpointError(
            f"{folder.path} holds a finished run of other settings ({listed}): give this sweep's runs other "
            "folders by name=… or output=…, or move that run away"
        )
    _check_data(values, config, results, folder)
    return results


def _check_data(
    values: Mapping[str, Any], config: Mapping[str, Any], results: Mapping[str, Any], folder: RunFolder
) -> None:
    """Refuse a finished run of other data under another root; the same data may have moved.

    Raises:
        CheckpointError: its scenes are others.
        DataError: those that are asked for cannot be found.
    """
    before, recorded = config.get("data"), results.get("data")
    if (
        not isinstance(before, Mapping)
        or not isinstance(recorded, Mapping)
        or before.get("root") == values["data"]["root"]
    ):
        return
    from transkd.data.module import other_data
    from transkd.training.config import TrainConfig
    from transkd.training.run import build_data

    changed = other_data(recorded, build_data(TrainConfig.validated(values)).fingerprints())
    if changed:
        raise CheckpointError(
            f"{folder.path} holds a finished run on other data, in {before.get('root')}: in {values['data']['root']}, "
            f"{changed}. Give this sweep's runs other folders by name=… or output=…, or move that run away"
        )


def _read(folder: RunFolder) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return results and config of a finished run.

    Raises:
        CheckpointError: if one of them is missing or damaged.
    """
    try:
        results, config = json.loads(folder.results.read_text()), folder.saved_config()
    except (OSError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise _no_run(folder, f"{folder.results.name} or {folder.config.name} cannot be read: {said}") from error
    if not config:
        raise _no_run(folder, f"there is no {folder.config.name}")
    if not isinstance(results, dict) or not isinstance(results.get("miou"), float | int | None):
        raise _no_run(folder, f"{folder.results.name} is not as training writes it")
    return results, config


def _no_run(folder: RunFolder, why: str) -> CheckpointError:
    return CheckpointError(
        f"{folder.path} holds a {folder.results.name} that cannot be taken for a finished run ({why}): move the folder "
        "away, or give this sweep's runs other folders by name=… or output=…"
    )


def _grouped(values: dict[str, Any]) -> dict[str, Any]:
    """Let W&B show the sweep's runs together."""
    from transkd.cli.sweep.jobs import sweep_name

    logger = values.get("logger") or {}
    wandb = logger.get("wandb")
    if wandb is None or wandb.get("group") is not None:
        return values
    return {**values, "logger": {**logger, "wandb": {**wandb, "group": sweep_name()}}}


def _outcome(fate: Any, folder: RunFolder, results: Mapping[str, Any]) -> Outcome:
    from transkd.cli.sweep.jobs import Outcome

    miou = results.get("miou")
    return Outcome(fate, str(folder.path.absolute()), {"mIoU": None if miou is None else 100 * miou})


if __name__ == "__main__":
    main("transkd-train")
