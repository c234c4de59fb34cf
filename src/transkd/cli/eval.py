"""``transkd-eval``: score a segmenter or an exported file by a stated protocol."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from transkd.cli.progress import starting


def _check(values: dict[str, Any]) -> Sequence[object]:
    from transkd.cli.eval_config import eval_problems, named_keys

    return eval_problems(values, named_keys(sys.argv[1:]))


def _eval(values: dict[str, Any]) -> None:
    with starting("transkd-eval"):
        from transkd.cli.eval_config import parse_eval
        from transkd.cli.eval_run import run_eval

    run_eval(parse_eval(values))
