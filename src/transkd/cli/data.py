"""``transkd-data``: check, convert and draw datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transkd.cli.progress import starting


def _check(values: dict[str, Any]) -> Sequence[object]:
    from transkd.cli.data_actions import action_problems

    return action_problems(values)


def _data(values: dict[str, Any]) -> None:
    with starting("transkd-data"):
        from transkd.cli.data_actions import run_action

    run_action(values)
