"""``transkd-doctor``: what transkd runs on, what is wrong with it, and what to put into a bug report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any


def _check(values: dict[str, Any]) -> Sequence[object]:
    from transkd.cli.doctor_config import doctor_problems

    return doctor_problems(values)


def _doctor(values: dict[str, Any]) -> None:
    from transkd.cli.doctor_run import run_doctor

    code = run_doctor(values["format"], trials=values["trials"])
    if code:
        sys.exit(code)
