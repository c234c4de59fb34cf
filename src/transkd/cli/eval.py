"""``transkd-eval``: score a segmenter or an exported file by a stated protocol."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from transkd.cli.app import run_app
from transkd.cli.progress import starting


def main() -> NoReturn:
    """Run the command."""
    try:
        run_app("transkd-eval", "eval_command", _eval, _check)
    except KeyboardInterrupt:
        print("transkd-eval: stopped before it was done", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


def _check(values: dict[str, Any]) -> Sequence[object]:
    from transkd.cli.eval_config import eval_problems, named_keys

    return eval_problems(values, named_keys(sys.argv[1:]))


def _eval(values: dict[str, Any]) -> None:
    with starting("transkd-eval"):
        from transkd.cli.eval_config import parse_eval
        from transkd.cli.eval_run import run_eval

    run_eval(parse_eval(values))


if __name__ == "__main__":
    main()
