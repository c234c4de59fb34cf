"""Every case measured side by side: counts, then peak memory in a process each, then latencies in turns."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path

import torch

from transkd.errors import ConfigError
from transkd.evaluation.cost import count_network
from transkd.profiling.cases import Case, Row, Settings, reason
from transkd.profiling.memory import peak_memory_mb
from transkd.profiling.networks import Network, open_network, parameters_of
from transkd.profiling.runners import Runner, make_runner, time_in_turns

Exporter = Callable[[Network, str, Path], None]
Progress = Callable[[str, int, int], None]


def profile(
    cases: Iterable[Case],
    settings: Settings,
    *,
    export: Exporter | None = None,
    progress: Progress = lambda *_: None,
) -> list[Row]:
    """Measure cases side by side.

    What fails becomes the ``problem`` of its row; the others are measured all the same.

    Args:
        cases: what to measure; an exported file has one case for each size and batch, in its own precision.
        settings: how to measure it.
        export: writes a network in a precision as an ONNX file at a path; the back end ``onnx`` needs it.
        progress: called after each step with its name, the steps done and all that there are.

    Returns:
        A row a case, in the order of ``cases``.
    """
    network_of, macs_of = cache(open_network), cache(count_network)

    def attempt(name: str, rows: list[Row], step: Callable[[Row], None]) -> None:
        able = [row for row in rows if row.problem is None]
        for done, row in enumerate(able, start=1):
            try:
                step(row)
            except Exception as error:  # of any library
                row.problem = reason(error)
            progress(name, done, len(able))

    with tempfile.TemporaryDirectory() as folder, torch_threads(settings.threads):
        numbers = count()

        @cache
        def exported(network: Network, precision: str) -> str:
            if export is None:
                raise ConfigError("there is nothing here that exports to ONNX")
            path = Path(folder, f"{next(numbers)}.onnx")
            export(network, precision, path)
            return str(path)

        def count_costs(row: Row) -> None:
            case, network = row.case, network_of(row.case.model, row.case.num_classes)
            if network.file is not None:
                row.case = replace(case, precision="file", backend=str(network.runtime), file=str(network.file))
            row.parameters = parameters_of(network)
            if network.module is not None:
                row.macs = macs_of(network.module, case.size)
                if case.backend == "onnx" and (settings.latency or settings.memory):
                    row.case = replace(case, file=exported(network, case.precision))

        def measure_memory(row: Row) -> None:
            row.peak_mb, row.problem = peak_memory_mb(row.case, settings)

        def prepare(row: Row) -> None:
            runner = make_runner(network_of(row.case.model, row.case.num_classes), row.case, settings)
            row.first_pass_s = runner.first_pass_s
            prepared.append((row, runner))

        every = [Row(case) for case in cases]
        attempt("counting", every, count_costs)
        unique: dict[Case, Row] = {}
        for row in every:
            unique.setdefault(row.case, row)
        rows = list(unique.values())
        if settings.memory:
            attempt("peak memory", rows, measure_memory)
        prepared: list[tuple[Row, Runner]] = []
        if settings.latency:
            attempt("preparing", rows, prepare)
            passes, done = (settings.warm_up + settings.runs) * len(prepared), count(1)
            time_in_turns(prepared, settings, lambda: progress("latency", next(done), passes))
    return rows


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Let torch use a number of CPU threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
