"""``transkd-profile``: what networks cost, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transkd.cli.progress import starting


def _check(values: dict[str, Any]) -> Sequence[object]:
    from transkd.cli.profile_config import profile_problems

    return profile_problems(values)


def _profile(values: dict[str, Any]) -> None:
    with starting("transkd-profile"):
        from transkd.cli.profile_config import parse_profile
        from transkd.cli.profile_run import run_profile

    run_profile(parse_profile(values))
