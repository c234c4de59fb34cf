"""``transkd-train``: train a teacher, a plain student, or distil a student."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from transkd.cli.app import run_app


def main() -> NoReturn:
    """Run the command."""
    run_app("transkd-train", "train", _train, _check)


def _check(values: dict[str, Any]) -> Sequence[object]:
    from transkd.training.config import config_problems

    return config_problems(values)


def _train(values: dict[str, Any]) -> None:
    from transkd.training.callbacks import StopRequestedError
    from transkd.training.run import train

    try:
        train(values)
    except StopRequestedError as stop:
        print(f"{stop}: the run is saved; the same command with resume=auto goes on with it", file=sys.stderr)
        sys.exit(128 + stop.signal)


if __name__ == "__main__":
    main()
