"""``transkd-profile``: what networks cost, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from transkd.cli.app import run_app
from transkd.cli.progress import starting


def main() -> NoReturn:
    """Run the command."""
    run_app("transkd-profile", "profile_command", _profile, _check)


def _check(values: dict[str, Any]) -> Sequence[object]:
    from transkd.cli.profile_config import profile_problems

    return profile_problems(values)


def _profile(values: dict[str, Any]) -> None:
    with starting("transkd-profile"):
        from transkd.cli.profile_config import parse_profile
        from transkd.cli.profile_run import run_profile

    run_profile(parse_profile(values))


if __name__ == "__main__":
    main()
