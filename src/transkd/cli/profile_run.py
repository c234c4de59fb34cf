"""What ``transkd-profile`` does."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from transkd.cli.profile_adapters import AdapterRow, adapter_rows
from transkd.cli.profile_config import ProfileConfig
from transkd.cli.profile_tables import adapter_table, cost_table, print_fitting
from transkd.cli.progress import counting, screen
from transkd.errors import ConfigError, TransKDError
from transkd.profiling import Network, Row, Settings, all_cases, profile
from transkd.runs.command import command_line

WIDE = 200
"""Columns of a table that goes to a file, which nothing folds."""


def run_profile(config: ProfileConfig) -> None:
    """Measure what a config names; print a table or JSON, and write JSON where ``output`` says.

    Raises:
        TransKDError: not everything could be measured; what could is printed and written all the same.
        ConfigError: ``output`` cannot be written to.
    """
    threads = config.threads or torch.get_num_threads()
    memory = config.memory and config.latency
    settings = Settings(config.on, threads, config.runs, config.warm_up, config.latency, memory)
    path = _writable(config.output)
    cases = all_cases(config.models, config.sizes, config.batch, config.precision, config.backend, config.num_classes)
    with _progress() as progress:
        rows = profile(cases, settings, export=export_onnx, progress=progress)
        adapters = adapter_rows(config)
    text = json.dumps(as_json(rows, adapters, config, settings), indent=2)
    if path is not None:
        path.write_text(f"{text}\n", encoding="utf-8")
    if config.format == "json":
        print(text)
    else:
        _print_tables(rows, adapters, settings, path)
    everything: list[Row | AdapterRow] = [*rows, *adapters]
    failed = sum(row.problem is not None for row in everything)
    if failed:
        raise TransKDError(f"{failed} of {len(everything)} rows could not be measured; each says why")


def export_onnx(network: Network, precision: str, path: Path) -> None:
    """Write a network to ``path`` as an ONNX file in a precision.

    Raises:
        ConfigError: the network cannot be exported, or not in that precision.
    """
    if network.segmenter is None:
        raise ConfigError("only segmenters of transkd are exported here; export it yourself, and name the .onnx file")
    if precision == "bf16":
        raise ConfigError("ONNX files are made in fp32 and fp16")
    from transkd.export import export_segmenter

    export_segmenter(network.segmenter, path, "onnx", precision=precision)


def as_json(rows: list[Row], adapters: list[AdapterRow], config: ProfileConfig, settings: Settings) -> dict[str, Any]:
    """Return the profile in plain containers."""
    gpu = settings.device == "cuda"
    return {
        "command": command_line(),
        "device": torch.cuda.get_device_name() if gpu else f"cpu ({platform.machine()})",
        "threads": settings.threads,
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in ("transkd", "torch", "timm")},
        "warm_up": settings.warm_up,
        "runs": settings.runs,
        "num_classes": config.num_classes,
        "rows": [row.as_json() for row in rows],
        "adapters": [row.as_json() for row in adapters],
    }


def _writable(output: str | None) -> Path | None:
    """Return where to write, a file that can be made there: found out before minutes of measuring."""
    if output is None:
        return None
    path = Path(output).expanduser()
    existed = path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8"):
            pass
        if not existed:
            path.unlink()
    except OSError as error:
        raise ConfigError(f"output: {path} cannot be written: {error.strerror}") from error
    return path


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    with counting(screen()) as bars:
        tasks: dict[str, Any] = {}

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield told


def _print_tables(rows: list[Row], adapters: list[AdapterRow], settings: Settings, path: Path | None) -> None:
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console.width = WIDE
    print_fitting(console, lambda counts: cost_table(rows, settings, counts=counts))
    if adapters:
        print_fitting(console, lambda counts: adapter_table(adapters, counts=counts))
    everything: list[Row | AdapterRow] = [*rows, *adapters]
    for row in everything:
        if row.problem is not None:
            console.print(f"{row.title}: {row.problem}", highlight=False, soft_wrap=True, markup=False)
    if path is not None:
        console.print(f"written to {path}", highlight=False, soft_wrap=True)
