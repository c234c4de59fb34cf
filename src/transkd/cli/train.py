"""``transkd-train``: train a teacher, a plain student, or distil a student, alone or as a job of a sweep."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transkd.cli.app import main
from transkd.cli.progress import starting
from transkd.errors import CheckpointError, ConfigError, first_line

if TYPE_CHECKING:
    from transkd.runs.folder import RunFolder

ELSEWHERE = "give this sweep's runs other folders by name=… or output=…, or move that run away"


def run_train(values: dict[str, Any]) -> dict[str, Any] | None:
    """Train, alone or as a job of a sweep.

    Raises:
        TransKDError: for everything that a user can correct.
    """
    from transkd.cli.sweep import in_sweep

    if in_sweep():
        return _train_job(values)
    _run(values)
    return None


def _run(values: dict[str, Any]) -> dict[str, Any]:
    with starting("transkd-train"):
        from transkd.training.callbacks.checkpoints import StopRequestedError
        from transkd.training.run import train

    try:
        return train(values)
    except StopRequestedError as stop:
        print(f"{stop}: the run is saved; the same command with resume=auto resumes it", file=sys.stderr)
        sys.exit(128 + stop.signal)


def _train_job(values: dict[str, Any]) -> dict[str, Any]:
    """Train, resume a run that was cut off, or find that the folder holds the finished run."""
    from hydra.core.hydra_config import HydraConfig

    from transkd.runs.folder import RunFolder

    _refuse_several_processes(values["trainer"])
    folder, results = RunFolder(values["output"]), None
    if not any(text.startswith("resume=") for text in HydraConfig.get().overrides.task):
        results = _finished(values, folder)
        values = {**values, "resume": "auto"}
    fate = "done" if results is None else "done before"
    if results is None:
        results = _run(_grouped(values))
    miou = results.get("miou")
    scores = {"mIoU": None if miou is None else 100 * miou}
    return {"fate": fate, "folder": str(folder.path.absolute()), "scores": scores}


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
        CheckpointError: it is a run of another recipe or on other data, or its files are damaged.
        DataError: the data that is asked for cannot be found.
    """
    if not folder.results.is_file():
        return None
    from transkd.runs.recipe import Comparison, config_differences

    try:
        results, config = json.loads(folder.results.read_text()), folder.saved_config()
        results["miou"], config["data"]["root"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder.path} cannot be taken for a finished run: {folder.results.name} or {folder.config.name} is "
            f"missing or damaged ({first_line(error)}). Move the folder away, or {ELSEWHERE}"
        ) from error
    if changed := config_differences(config, values, Comparison.FINISHED):
        raise CheckpointError(
            f"{folder.path} holds a finished run of other settings ({'; '.join(changed)}): {ELSEWHERE}"
        )
    before, root = config["data"]["root"], values["data"]["root"]
    if before != root and isinstance(results.get("data"), Mapping):  # the same data may have moved
        from transkd.data.module import other_data
        from transkd.training.config import TrainConfig
        from transkd.training.run import build_data

        if other := other_data(results["data"], build_data(TrainConfig.validated(values)).fingerprints()):
            raise CheckpointError(
                f"{folder.path} holds a finished run on other data, in {before}: in {root}, {other}; {ELSEWHERE}"
            )
    return dict(results)


def _grouped(values: dict[str, Any]) -> dict[str, Any]:
    """Let W&B show the sweep's runs together."""
    from transkd.cli.sweep import sweep_name

    logger = values.get("logger") or {}
    if (wandb := logger.get("wandb")) and wandb.get("group") is None:
        return {**values, "logger": {**logger, "wandb": {**wandb, "group": sweep_name()}}}
    return values


if __name__ == "__main__":
    main("transkd-train")
