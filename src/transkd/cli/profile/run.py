"""What ``transkd-profile`` does: measure, print, write."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from transkd.cli.commands import config_folder
from transkd.cli.profile.config import ProfileConfig
from transkd.cli.profile.output import AdapterRow, as_json, print_tables
from transkd.cli.progress import counting, screen
from transkd.errors import ConfigError, TransKDError
from transkd.evaluation.cost import count_network, count_parameters
from transkd.models import Segmenter
from transkd.profiling import Network, Row, Settings, all_cases, open_network, profile
from transkd.training.preflight import method_cost


def run_profile(config: ProfileConfig) -> None:
    """Measure what a config names; print a table or JSON, and write JSON where ``output`` says.

    Raises:
        TransKDError: not everything could be measured; what could is printed and written all the same.
        ConfigError: ``output`` cannot be written to.
    """
    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    threads = config.threads or torch.get_num_threads()
    memory = config.memory and config.latency
    settings = Settings(device, threads, config.runs, config.warm_up, config.latency, memory)
    path = writable(config.output)
    cases = all_cases(config.models, config.sizes, config.batch, config.precision, config.backend, config.num_classes)
    with progress_bars() as progress:
        rows = profile(cases, settings, export=export_onnx, progress=progress)
        adapters = adapter_rows(config)
    text = json.dumps(as_json(rows, adapters, config, settings), indent=2)
    if path is not None:
        path.write_text(f"{text}\n", encoding="utf-8")
    if config.format == "json":
        print(text)
    else:
        print_tables(rows, adapters, settings, path)
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


def writable(output: str | None) -> Path | None:
    """Return where to write, once a file can be made there, before minutes of measuring.

    Raises:
        ConfigError: it cannot.
    """
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
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Give what shows the progress of each step by a bar."""
    with counting(screen()) as bars:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show


def adapter_rows(config: ProfileConfig) -> list[AdapterRow]:
    """Return a row for each segmenter among the models, method and size; other networks have no taps to distil."""
    if not config.adapters:
        return []
    rows: list[AdapterRow] = []
    network, alone = cache(open_network), cache(count_network)
    for name, method, size in product(config.models, config.adapters, config.sizes):
        try:
            student = network(name, config.num_classes).segmenter
            if student is None:
                continue
            teacher = segmenter_of(network(config.adapter_teacher, config.num_classes))
            cost = method_cost(method_losses(method), student, teacher, size)
            own = (count_parameters(student), alone(student, size))
            rows.append(AdapterRow(name, config.adapter_teacher, method, size, *own, cost))
        except TransKDError as error:
            rows.append(AdapterRow(name, config.adapter_teacher, method, size, problem=" ".join(str(error).split())))
    return rows


def method_losses(method: str) -> dict[str, dict[str, Any]]:
    """Return the losses of a method of ``conf/distillation``, or the one loss of that name, with their options."""
    path = config_folder() / "distillation" / f"{method}.yaml"
    if not path.is_file():
        return {method: {}}
    losses = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(losses, dict)
    return dict(losses["losses"])


def segmenter_of(network: Network) -> Segmenter:
    """Return the teacher's segmenter, which has taps.

    Raises:
        TransKDError: it is none.
    """
    if network.segmenter is None:
        raise TransKDError(f"adapter_teacher={network.name} is no segmenter of transkd, so it has no taps")
    return network.segmenter
