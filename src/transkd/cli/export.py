"""``transkd-export``: a student out of the door, with proof that nothing changed on the way."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import Any

from transkd.cli.progress import starting


def _check(values: dict[str, Any]) -> Sequence[object]:
    from transkd.cli.export_config import export_problems

    return export_problems(values)


def _export(values: dict[str, Any]) -> None:
    with starting("transkd-export"):
        from transkd.cli.export_config import parse_export
        from transkd.cli.export_run import run_export

    try:
        run_export(parse_export(values))
    except KeyboardInterrupt:
        print("transkd-export: stopped; of what was being written nothing is left", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
