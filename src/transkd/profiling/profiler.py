"""Every case measured side by side: counts, then peak memory one process a case, then latencies in turns."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from torch import nn

from transkd.errors import ConfigError
from transkd.evaluation.cost import Macs, count_network
from transkd.profiling.cases import Case, Row, Settings
from transkd.profiling.memory import peak_memory_mb
from transkd.profiling.networks import Network, open_network, parameters_of
from transkd.profiling.reasons import reason
from transkd.profiling.runners import Runner, make_runner
from transkd.profiling.timing import time_in_turns

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
        cases: what to measure; those of an exported file come once a size and batch, whatever else was asked for.
        settings: how to measure it.
        export: writes a network in a precision as an ONNX file at a path; the back end ``onnx`` needs it.
        progress: told after each step what is going on, the steps done and all that there are.

    Returns:
        A row a case, in the order of ``cases``.
    """
    with tempfile.TemporaryDirectory() as folder, _threads(settings.threads):
        return _Profiler(settings, export, progress, Path(folder)).measure(cases)


class _Profiler:
    def __init__(self, settings: Settings, export: Exporter | None, progress: Progress, folder: Path) -> None:
        self.settings = settings
        self.export = export
        self.progress = progress
        self.folder = folder
        self.open: Callable[[str, int], Network] = cache(open_network)
        self.macs: Callable[[nn.Module, tuple[int, int]], Macs] = cache(count_network)
        self.files: dict[tuple[str, str], str] = {}

    def measure(self, cases: Iterable[Case]) -> list[Row]:
        rows = self._counted(list(cases))
        if self.settings.memory:
            self._each(rows, "peak memory", self._weigh)
        if self.settings.latency:
            ready: list[tuple[Row, Runner]] = []
            self._each(rows, "preparing", lambda row: ready.append((row, self._prepare(row))))
            self._time(ready)
        return rows

    def _counted(self, cases: list[Case]) -> list[Row]:
        rows: list[Row] = []
        for done, case in enumerate(cases, start=1):
            row = self._count(case)
            if row.case not in [other.case for other in rows]:
                rows.append(row)
            self.progress("counting", done, len(cases))
        return rows

    def _count(self, case: Case) -> Row:
        row = Row(case)
        try:
            network = self.open(case.model, case.num_classes)
            if network.file is not None:
                row.case = replace(case, precision="file", backend=str(network.runtime), file=str(network.file))
            row.parameters = parameters_of(network)
            if network.module is not None:
                row.macs = self.macs(network.module, case.size)
            if self._runs and case.backend == "onnx" and network.module is not None:
                row.case = replace(case, file=self._exported(network, case.precision))
        except Exception as error:  # of any library, and a reason for the row that it belongs to
            row.problem = reason(error)
        return row

    @property
    def _runs(self) -> bool:
        return self.settings.latency or self.settings.memory

    def _exported(self, network: Network, precision: str) -> str:
        if self.export is None:
            raise ConfigError("there is nothing here that exports to ONNX")
        if (network.name, precision) not in self.files:
            path = self.folder / f"{len(self.files)}.onnx"
            self.export(network, precision, path)
            self.files[network.name, precision] = str(path)
        return self.files[network.name, precision]

    def _each(self, rows: list[Row], what: str, do: Callable[[Row], object]) -> None:
        able = [row for row in rows if row.problem is None]
        for done, row in enumerate(able, start=1):
            try:
                do(row)
            except Exception as error:  # of any library, and a reason for the row that it belongs to
                row.problem = reason(error)
            self.progress(what, done, len(able))

    def _weigh(self, row: Row) -> None:
        row.peak_mb, row.problem = peak_memory_mb(row.case, self.settings)

    def _prepare(self, row: Row) -> Runner:
        runner = make_runner(self.open(row.case.model, row.case.num_classes), row.case, self.settings)
        row.first_pass_s = runner.first_pass_s
        return runner

    def _time(self, ready: list[tuple[Row, Runner]]) -> None:
        passes = (self.settings.warm_up + self.settings.runs) * len(ready)
        done = 0

        def step() -> None:
            nonlocal done
            done += 1
            self.progress("latency", done, passes)

        time_in_turns(ready, self.settings, step)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
