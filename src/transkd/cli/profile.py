"""``transkd-profile``: what networks cost, side by side: measured, printed as tables or JSON, and written."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from itertools import product
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BeforeValidator, Field

from transkd.cli.commands import config_folder
from transkd.cli.progress import counting, output, screen, text_table
from transkd.errors import ConfigError, TransKDError, did_you_mean
from transkd.options import SMALLEST_SIDE, Count, Positive, Problem, Section, Side, listed, option
from transkd.runs.command import command_line

if TYPE_CHECKING:
    from transkd.profiling import Network, Settings
    from transkd.profiling.profiler import Progress

NOTHING = "–"
Values = Mapping[str, Any]
Item = TypeVar("Item")


def listed_sizes(value: object) -> object:
    """Return a list of sizes, one size as a list of it."""
    return value if isinstance(value, list) and (not value or isinstance(value[0], list)) else [value]


OneOrMore = Annotated[list[Item], BeforeValidator(listed), Field(min_length=1)]
Sizes = Annotated[list[tuple[Side, Side]], BeforeValidator(listed_sizes), Field(min_length=1)]


class ProfileConfig(Section):
    r"""Show what networks cost: parameters, operations, memory, latency.

    Examples:
      transkd-profile models=[mit_b0,mit_b2,pvt_v2_b0,lvt] size=[512,1024]
      transkd-profile models=[runs/NAME/student,student.onnx] backend=[eager,onnx]
      transkd-profile models=[mit_b0] num_classes=20 latency=false \
        adapters=[transkd_base,transkd_gl,transkd_ea]

    Latencies are taken in turns: compare rows of one call. An ONNX file also
    upsamples logits to the images' size.

    More: docs/profile.md
    """

    models: OneOrMore[str] = option(
        ["mit_b0", "mit_b2"],
        "what to measure, side by side: BACKBONE or BACKBONE+HEAD (random weights); a run, a saved segmenter or a hub "
        "id; an exported .onnx or .pt2 file; transformers:segformer-b0 or a hub id there; torchvision:NAME; "
        "python:module:function",
        heading="What is measured",
    )
    size: Sizes = option(
        [512, 1024],
        "[height, width] in pixels, or a list of such",
        give=f"[height, width] in pixels ([512, 1024]), {SMALLEST_SIDE} or more each, or a list of such",
    )
    batch: OneOrMore[Positive] = option(
        1, "images a pass; one or a list", give="a number of images, 1 or more, or a list of such"
    )
    precision: OneOrMore[Literal["fp32", "bf16", "fp16"]] = option(
        "fp32",
        "fp32, bf16, fp16; one or a list; weights and images are cast",
        give="fp32, bf16 or fp16, or a list of them",
    )
    backend: OneOrMore[Literal["eager", "compiled", "onnx"]] = option(
        "eager",
        "eager, compiled, onnx; one or a list; an exported file runs on its own runtime",
        give="eager, compiled or onnx, or a list of them",
    )
    num_classes: Positive = option(19, "outputs (classes) of networks with random weights")
    device: Literal["auto", "cpu", "cuda"] = option(
        "auto", "auto (a GPU where there is one), cpu or cuda", heading="How"
    )
    threads: Positive | None = option(None, "CPU threads of torch and ONNX Runtime; null: as many as torch takes")
    runs: Positive = option(20, "timed passes of each row")
    warm_up: Count = option(3, "passes of each row before them that are not timed")
    latency: bool = option(True, "false: only parameters and multiply-accumulates, which take no time to count")
    memory: bool = option(True, "also measure peak memory, in a process for each row")
    adapters: Annotated[list[str], BeforeValidator(listed)] = option(
        [],
        "also count the models with the adapters of these methods or registered losses, such as "
        "[transkd_base, transkd_ea]",
        heading="Distillation",
    )
    adapter_teacher: str = option("mit_b2", "the teacher that the adapters are made for, a backbone")
    format: Literal["table", "json"] = option("table", "table for people, json for programs", heading="Output")
    output: str | None = option(None, "a file for the JSON")
    overwrite: bool = option(False, "replace that file where it exists")

    def problems(self) -> Iterator[Problem]:
        """Yield names that do not exist, a missing GPU, and a file that would be overwritten."""
        import torch

        from transkd.distillation import available_losses
        from transkd.profiling import name_problem

        for name in dict.fromkeys(self.models):
            if problem := name_problem(name):
                yield Problem("models", f"'{name}': {problem}")
        known = sorted(_method_files() | set(available_losses()))
        for name in self.adapters:
            if name not in known:
                yield Problem("adapters", f"there is no method or loss '{name}'; {did_you_mean(name, known)}")
        if self.adapters and (problem := name_problem(self.adapter_teacher)):
            yield Problem("adapter_teacher", f"'{self.adapter_teacher}': {problem}")
        if self.device == "cuda" and not torch.cuda.is_available():
            yield Problem("device", "torch finds no GPU here: device=cpu, or auto")
        path = Path(self.output).expanduser() if self.output is not None else None
        if path is not None and path.is_dir():
            yield Problem("output", f"{path} is a folder; give a file")
        elif path is not None and path.exists() and not self.overwrite:
            yield Problem("output", f"{path} exists; overwrite=true replaces it")


COUNTED = ("adapter_parameters", "parameters_with_adapters", "adapter_gmacs", "gmacs_with_adapters")
SETTINGS = ("size", "batch", "precision", "backend")
GMACS = {"GMAC": "with_attention", "without\nattention": "without_attention", "as\npublished": "as_published"}
"""Heads of the three ways to count multiply-accumulates -> their keys."""
MEASURED = {
    "peak\nMB": ("peak_memory_mb", 0),
    "median\nms": ("latency_ms.median", 1),
    "p95\nms": ("latency_ms.p95", 1),
    "images\n/s": ("images_per_second", 2),
    "first pass\ns": ("first_pass_s", 1),
}
"""Head -> key of the JSON's rows, and digits."""


def run_profile(config: ProfileConfig) -> None:
    """Measure what a config names; print a table or JSON, and write JSON where ``output`` says.

    Raises:
        TransKDError: not everything could be measured; what could is printed and written all the same.
        ConfigError: ``output`` cannot be written to.
    """
    import torch

    from transkd.profiling import Settings, all_cases, profile

    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    threads, memory = config.threads or torch.get_num_threads(), config.memory and config.latency
    settings = Settings(device, threads, config.runs, config.warm_up, config.latency, memory)
    path = None if config.output is None else _writable(Path(config.output).expanduser())
    cases = all_cases(config.models, config.size, config.batch, config.precision, config.backend, config.num_classes)
    with _progress_bars() as progress:
        measured = profile(cases, settings, export=_export_onnx, progress=progress)
        adapters = list(_adapter_rows(config)) if config.adapters else []
    rows = [row.as_json() for row in measured]
    report = {
        "command": command_line(),
        "device": torch.cuda.get_device_name() if device == "cuda" else f"cpu ({platform.machine()})",
        "threads": threads,
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in ("transkd", "torch", "timm")},
        "warm_up": config.warm_up,
        "runs": config.runs,
        "num_classes": config.num_classes,
        "rows": rows,
        "adapters": adapters,
    }
    text = json.dumps(report, indent=2)
    if path is not None:
        path.write_text(f"{text}\n", encoding="utf-8")
    problems = [f"{row.title}: {row.problem}" for row in measured if row.problem]
    problems += [f"{_title(row)}: {row['problem']}" for row in adapters if row["problem"]]
    if config.format == "json":
        print(text)
    else:
        _print_costs(rows, settings)
        if adapters:
            _print_adapters(adapters, config.adapter_teacher)
        print(*problems, *([f"written to {path}"] if path else []), sep="\n")
    if problems:
        raise TransKDError(f"{len(problems)} of {len(rows) + len(adapters)} rows could not be measured; each says why")


def _writable(path: Path) -> Path:
    """Return the path, once it is known before minutes of measuring that its folder can be written to."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path.parent):
            return path
    except OSError as error:
        raise ConfigError(f"output: {path} cannot be written: {error.strerror}") from error


@contextmanager
def _progress_bars() -> Iterator[Progress]:
    """Give what shows the progress of each step by a bar."""
    with counting(screen()) as bars:
        task_of = cache(lambda what: bars.add_task(what, total=None))
        yield lambda what, done, total: bars.update(task_of(what), completed=done, total=total)


def _export_onnx(network: Network, precision: str, path: Path) -> None:
    """Write a network to ``path`` as an ONNX file in a precision."""
    if network.segmenter is None:
        raise ConfigError("only segmenters of transkd are exported here; export it yourself, and name the .onnx file")
    if precision == "bf16":
        raise ConfigError("ONNX files are made in fp32 and fp16")
    from transkd.export import export_segmenter

    export_segmenter(network.segmenter, path, "onnx", precision=precision)


def _adapter_rows(config: ProfileConfig) -> Iterator[dict[str, Any]]:
    """Yield a row for each segmenter among the models, method and size; other networks have no taps to distil."""
    from transkd.evaluation.cost import count_network, count_parameters
    from transkd.profiling import open_network
    from transkd.training.preflight import method_cost

    network, alone = cache(open_network), cache(count_network)
    for name, method, size in product(config.models, config.adapters, config.size):
        row: dict[str, Any] = {"student": name, "teacher": config.adapter_teacher, "distillation": method}
        row |= {"size": list(size), **dict.fromkeys(COUNTED), "problem": None}
        try:
            student = network(name, config.num_classes).segmenter
            if student is None:
                continue
            teacher = network(config.adapter_teacher, config.num_classes).segmenter
            if teacher is None:
                raise TransKDError(
                    f"adapter_teacher={config.adapter_teacher} is no segmenter of transkd: it has no taps"
                )
            cost = method_cost(_method_losses(method), student, teacher, size)
            parameters, macs = count_parameters(student) + cost.parameters, alone(student, size) + cost.macs
            row |= zip(COUNTED, (cost.parameters, parameters, cost.macs.in_giga(), macs.in_giga()), strict=True)
        except TransKDError as error:
            row["problem"] = " ".join(str(error).split())
        yield row


def _method_files() -> set[str]:
    return {path.stem for path in (config_folder() / "distillation").glob("*.yaml")} - {"none", "base"}


def _method_losses(method: str) -> dict[str, dict[str, Any]]:
    """Return the losses of a method of ``conf/distillation``, or the one loss of that name, with their options."""
    if method not in _method_files():
        return {method: {}}
    return dict(yaml.safe_load((config_folder() / "distillation" / f"{method}.yaml").read_text())["losses"])


def _print_costs(rows: Sequence[Values], settings: Settings) -> None:
    """Print parameters, counts, memory and latency, a line a row; what all rows share is in the title."""
    texts = {key: [_size(row[key]) if key == "size" else str(row[key]) for row in rows] for key in SETTINGS}
    shared = [f"{key} {texts[key][0]}" for key in SETTINGS if len(set(texts[key])) == 1]
    columns = {"model": [row["model"] for row in rows]}
    columns |= {key: texts[key] for key in SETTINGS if len(set(texts[key])) > 1}
    columns["parameters\nM"] = [_number(row["parameters"], 2, 1e6) for row in rows]
    columns |= {head: [_number(_at(row, f"gmacs.{key}"), 2) for row in rows] for head, key in GMACS.items()}
    measured = {head: [_number(_at(row, key), digits) for row in rows] for head, (key, digits) in MEASURED.items()}
    columns |= {head: cells for head, cells in measured.items() if set(cells) != {NOTHING}}
    where = f"{settings.device}, {settings.threads} threads" if settings.device == "cpu" else settings.device
    runs = f"; median and p95 of {settings.runs} passes in turns" if settings.latency else ""
    _print_fitting(", ".join([*shared, where]) + runs, columns)


def _print_adapters(rows: Sequence[Values], teacher: str) -> None:
    """Print what students cost with their adapters, which leave them after training."""
    columns = {
        "student + adapters": [_title(row) for row in rows],
        "size": [_size(row["size"]) for row in rows],
        "adapters\nM": [_number(row["adapter_parameters"], 2, 1e6) for row in rows],
        "parameters\nM": [_number(row["parameters_with_adapters"], 2, 1e6) for row in rows],
    }
    counts = {head: [_number(_at(row, f"gmacs_with_adapters.{key}"), 2) for row in rows] for head, key in GMACS.items()}
    _print_fitting(f"While {teacher} teaches (the adapters leave with the losses)", columns | counts)


def _print_fitting(title: str, columns: Mapping[str, Iterable[str]]) -> None:
    """Print a table; where the terminal is too narrow for it, with one count of the three."""
    console = output()
    table = text_table(list(columns), list(zip(*columns.values(), strict=True)), title)
    if console.measure(table, options=console.options.update(width=1000)).maximum > console.width:
        narrow = {head: cells for head, cells in columns.items() if head not in list(GMACS)[1:]}
        table = text_table(list(narrow), list(zip(*narrow.values(), strict=True)), title)
        table.caption = "GMAC with attention; the other two counts: a wider terminal, or output=FILE"
        table.caption_justify = "left"
    console.print(table)


def _title(row: Values) -> str:
    return f"{row['student']} + {row['distillation']}"


def _size(size: Sequence[int]) -> str:
    return "x".join(map(str, size))


def _at(row: Values, path: str) -> float | None:
    value: Any = row
    for key in path.split("."):
        value = None if value is None else value[key]
    return None if value is None else float(value)


def _number(value: float | None, digits: int, unit: float = 1) -> str:
    return NOTHING if value is None else f"{value / unit:.{digits}f}"
