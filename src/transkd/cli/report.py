"""``transkd-report``: a table over runs that one can believe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from transkd.cli.app import run_app
from transkd.cli.progress import starting


def main() -> NoReturn:
    """Run the command."""
    run_app("transkd-report", "report_command", _report, _check)


def _check(values: dict[str, Any]) -> Sequence[object]:
    from transkd.cli.report_config import report_problems

    return report_problems(values)


def _report(values: dict[str, Any]) -> None:
    with starting("transkd-report"):
        from transkd.cli.report_config import parse_report
        from transkd.cli.report_run import run_report

    run_report(parse_report(values))


if __name__ == "__main__":
    main()
