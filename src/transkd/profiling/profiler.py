"""Every case measured side by side: counts, then peak memory in a process each, then latencies in turns."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import nn

from transkd.errors import ConfigError
from transkd.evaluation.cost import count_network
from transkd.models.weights import file_kind
from transkd.profiling.memory import peak_memory_mb
from transkd.profiling.networks import Network, open_network, parameters_of
from transkd.profiling.runners import Case, Run, Settings, make_run, milliseconds, reason

Exporter = Callable[[nn.Module, str, Path], None]
Progress = Callable[[str, int, int], None]


@dataclass
class Row:
    """What a case costs; None is what was not measured.

    Attributes:
        case: what was measured.
        parameters: of the network, without adapters.
        gmacs: of one image, in 10^9, as :class:`transkd.evaluation.cost.Macs` counts them.
        peak_memory_mb: of a pass with the network's weights, in 10^6 bytes.
        latency_ms: ``"median"``, ``"p95"`` and all ``"runs"``, in milliseconds a pass.
        images_per_second: at the median.
        first_pass_s: seconds of the first pass of a compiled network, compilation included.
        problem: why a measurement failed.
    """

    case: Case
    parameters: int | None = None
    gmacs: dict[str, float] | None = None
    peak_memory_mb: float | None = None
    latency_ms: dict[str, Any] | None = None
    images_per_second: float | None = None
    first_pass_s: float | None = None
    problem: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the row in plain containers, without levels for case and row."""
        values = asdict(self)
        return {**values.pop("case"), "size": list(self.case.size), **values}


def profile(
    cases: Iterable[Case],
    settings: Settings,
    *,
    export: Exporter | None = None,
    progress: Progress = lambda *_: None,
) -> list[Row]:
    """Measure cases side by side.

    What fails becomes the ``problem`` of its row; the others are measured all the same. Latencies are taken in rounds,
    each case once a round, every round in another order: what else the machine does falls on all alike.

    Args:
        cases: what to measure; an exported file has one row for each size and batch, in its own precision.
        settings: how to measure it.
        export: writes a module in a precision as an ONNX file at a path; the back end ``onnx`` needs it.
        progress: called after each step with its name, the steps done and all that there are.

    Returns:
        A row a case, in the order of ``cases``.
    """
    rows = [Row(case) for case in cases]
    runs: list[tuple[Row, Run, list[float]]] = []
    network_of, macs_of, numbers = cache(open_network), cache(count_network), count()

    @cache
    def runnable(model: str, precision: str, backend: str) -> Network:
        network = network_of(model, settings.num_classes)
        if isinstance(network, Path) or backend != "onnx":
            return network
        if export is None:
            raise ConfigError("there is nothing here that exports to ONNX")
        path = Path(folder, f"{next(numbers)}.onnx")
        export(network, precision, path)
        return path

    def count_costs(row: Row) -> None:
        network = network_of(row.case.model, settings.num_classes)
        row.parameters = parameters_of(network)
        if isinstance(network, Path):
            row.case = replace(row.case, precision="file", backend=file_kind(network))
        else:
            row.gmacs = macs_of(network, row.case.size).in_giga()
        if settings.latency:
            runnable(row.case.model, row.case.precision, row.case.backend)

    def measure_memory(row: Row) -> None:
        network = runnable(row.case.model, row.case.precision, row.case.backend)
        name = str(network) if isinstance(network, Path) else row.case.model
        row.peak_memory_mb, row.problem = peak_memory_mb(row.case, settings, name)

    def prepare(row: Row) -> None:
        run = make_run(runnable(row.case.model, row.case.precision, row.case.backend), row.case, settings)
        if row.case.backend == "compiled":
            row.first_pass_s = milliseconds(run, settings.device) / 1e3
        runs.append((row, run, []))

    def attempt(name: str, step: Callable[[Row], None]) -> None:
        able = [row for row in rows if row.problem is None]
        for done, row in enumerate(able, start=1):
            try:
                step(row)
            except Exception as error:  # of any library
                row.problem = reason(error)
            progress(name, done, len(able))

    threads = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        with tempfile.TemporaryDirectory() as folder:
            attempt("counting", count_costs)
            rows = list({row.case: row for row in rows}.values())
            if settings.latency and settings.memory:
                attempt("peak memory", measure_memory)
            if settings.latency:
                attempt("preparing", prepare)
                time_in_turns(runs, settings, progress)
    finally:
        torch.set_num_threads(threads)
    return rows


def time_in_turns(runs: list[tuple[Row, Run, list[float]]], settings: Settings, progress: Progress) -> None:
    """Time passes in rounds, and put what they take into their rows; one that fails has a reason instead."""
    shuffle = random.Random(0).shuffle
    rounds = settings.warm_up + settings.runs
    done = count(1)
    for _ in range(rounds):
        shuffle(runs)
        for row, run, times in runs:
            if row.problem is None:
                try:
                    times.append(milliseconds(run, settings.device))
                except Exception as error:  # of any library
                    row.problem = reason(error)
            progress("latency", next(done), rounds * len(runs))
    for row, _, times in runs:
        if row.problem is None:
            timed = torch.tensor(times[settings.warm_up :], dtype=torch.float64)
            median, p95 = timed.quantile(torch.tensor([0.5, 0.95], dtype=torch.float64)).tolist()
            row.latency_ms = {"median": median, "p95": p95, "runs": timed.tolist()}
            row.images_per_second = 1e3 * row.case.batch / median
