"""``transkd-predict``: overlays, colour maps, class ids and comparisons for pictures and videos."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from transkd.cli.app import SWEEPS, run_app
from transkd.cli.progress import starting

PATHS = ("model", "model2", "input", "output", "classes")


def main() -> NoReturn:
    """Run the command."""
    sys.argv[1:] = quoted_paths(sys.argv[1:])
    run_app("transkd-predict", "predict_command", _predict, _check)


def quoted_paths(arguments: Sequence[str]) -> list[str]:
    """Put quotes around paths, so that Hydra takes them for text: ``a b.jpg``, ``x[1].png``, ``über.jpg``, ``2024``.

    What is quoted already, ``null``, interpolations and the commas of a sweep stay what they are.
    """
    if any(argument in SWEEPS for argument in arguments):
        return list(arguments)
    return [_quoted(argument) for argument in arguments]


def _quoted(argument: str) -> str:
    key, equals, value = argument.partition("=")
    if not equals or key.lstrip("+") not in PATHS or value in ("", "null") or value[0] in "'\"" or "${" in value:
        return argument
    before_quotes = re.sub(r"(\\*)'", r"\1\1\\'", value)  # elsewhere, but for the end, a backslash stands for itself
    escaped = re.sub(r"(\\+)$", r"\1\1", before_quotes)
    return f"{key}='{escaped}'"


def _check(values: dict[str, Any]) -> Sequence[object]:
    from transkd.cli.predict_config import predict_problems

    return predict_problems(values)


def _predict(values: dict[str, Any]) -> None:
    with starting("transkd-predict"):
        from transkd.cli.predict_config import parse_predict
        from transkd.cli.predict_run import run_predict

    run_predict(parse_predict(values))


if __name__ == "__main__":
    main()
