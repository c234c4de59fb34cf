"""Latencies taken in turns, so that what else the machine does falls on all alike."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch

from transkd.profiling.cases import Row, Settings
from transkd.profiling.reasons import reason
from transkd.profiling.runners import Runner


def milliseconds(run: Callable[[], object], device: str) -> float:
    """Return what one pass takes, by CUDA events on a GPU, else by the clock."""
    if device == "cuda":
        events: Any = torch.cuda.Event
        start, end = events(enable_timing=True), events(enable_timing=True)
        torch.cuda.synchronize()
        start.record()
        run()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end))
    begin = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - begin)


def time_in_turns(ready: Iterable[tuple[Row, Runner]], settings: Settings, step: Callable[[], None]) -> None:
    """Time runners round by round, each once a round, every round in another order; their rows keep the times.

    A runner that fails leaves its reason in its row, without times, and the others go on.

    Args:
        ready: rows, each with what it times.
        settings: how often, and where.
        step: called after every pass.
    """
    order = list(ready)
    shuffle = random.Random(0).shuffle
    for turn in range(settings.warm_up + settings.runs):
        shuffle(order)
        for row, runner in order:
            if row.problem is None:
                _take(row, runner, settings, keep=turn >= settings.warm_up)
            step()


def _take(row: Row, runner: Runner, settings: Settings, *, keep: bool) -> None:
    try:
        taken = milliseconds(runner.run, settings.device)
    except Exception as error:  # of any library, and a reason for the row that it belongs to
        row.problem, row.latencies_ms = reason(error), []
    else:
        if keep:
            row.latencies_ms.append(taken)
