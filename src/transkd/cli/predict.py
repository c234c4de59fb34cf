"""``transkd-predict``: overlays, colour maps, class ids and comparisons for pictures and videos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transkd.cli.progress import starting


def _check(values: dict[str, Any]) -> Sequence[object]:
    from transkd.cli.predict_config import predict_problems

    return predict_problems(values)


def _predict(values: dict[str, Any]) -> None:
    with starting("transkd-predict"):
        from transkd.cli.predict_config import parse_predict
        from transkd.cli.predict_run import run_predict

    run_predict(parse_predict(values))
