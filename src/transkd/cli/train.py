"""``transkd-train``: train a teacher, a plain student, or distil a student."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from transkd.cli.app import main
from transkd.cli.progress import starting

if TYPE_CHECKING:
    from transkd.cli.sweeps import Outcome


def check(values: dict[str, Any]) -> Sequence[object]:
    """List what is wrong with a config."""
    from transkd.options import find_problems
    from transkd.training.config import TrainConfig

    return find_problems(TrainConfig, values)


def run_train(values: dict[str, Any]) -> Outcome | None:
    """Train, alone or as a job of a sweep."""
    from transkd.cli.sweeps import in_sweep

    if in_sweep():
        from transkd.cli.train_sweep import train_job

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
        print(f"{stop}: the run is saved; the same command with resume=auto goes on with it", file=sys.stderr)
        sys.exit(128 + stop.signal)


if __name__ == "__main__":
    main("transkd-train")
