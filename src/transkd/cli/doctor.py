"""``transkd-doctor``: what transkd runs on, what is wrong with it, and what to put into a bug report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from transkd.cli.app import run_app


def main() -> NoReturn:
    """Run the command, where Hydra itself is broken too: then arguments are read one by one."""
    try:
        run_app("transkd-doctor", "doctor_command", _doctor, _check)
    except Exception:  # what doctor itself does wrong ends in Hydra
        given = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
        _doctor({"format": given.get("format", "text"), "trials": given.get("trials") != "false"})
    sys.exit(0)


def _check(values: dict[str, Any]) -> Sequence[object]:
    from transkd.cli.doctor_config import doctor_problems

    return doctor_problems(values)


def _doctor(values: dict[str, Any]) -> None:
    from transkd.cli.doctor_run import run_doctor

    code = run_doctor(values["format"], trials=values["trials"])
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main()
