"""``transkd-profile``: what networks cost, side by side: measured, printed as tables or JSON, and written."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, reduce
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
from transkd.files import write_text
from transkd.options import SMALLEST_SIDE, Count, Positive, Problem, Section, Side, listed, option
from transkd.runs.command import command_line

if TYPE_CHECKING:
    from torch import nn

NOTHING = "–"
Rows = Sequence[Mapping[str, Any]]
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
        from transkd.profiling import find_network

        named = [("models", name) for name in dict.fromkeys(self.models)]
        for key, name in [*named, *([("adapter_teacher", self.adapter_teacher)] if self.adapters else [])]:
            try:
                find_network(name, self.num_classes)
            except ConfigError as error:
                yield Problem(key, f"'{name}': {error}")
        known = {*_method_files(), *available_losses()}
        for name in self.adapters:
            if name not in known:
                yield Problem("adapters", f"there is no method or loss '{name}'; {did_you_mean(name, known)}")
        if self.device == "cuda" and not torch.cuda.is_available():
            yield Problem("device", "torch finds no GPU here: device=cpu, or auto")
        if self.output is not None and (path := Path(self.output).expanduser()).exists():
            if path.is_dir():
                yield Problem("output", f"{path} is a folder; give a file")
            elif not self.overwrite:
                yield Problem("output", f"{path} exists; overwrite=true replaces it")


SETTINGS = ("size", "batch", "precision", "backend")
COUNTED = ("adapter_parameters", "parameters_with_adapters", "adapter_gmacs", "gmacs_with_adapters")
COUNTS = ("parameters", "gmacs", *COUNTED)
"""Keys, or their starts, whose columns stand also where all rows failed."""
GMACS = {"GMAC": "with_attention", "without\nattention": "without_attention", "as\npublished": "as_published"}
"""Heads of the three ways to count multiply-accumulates -> their keys."""
COSTS = {
    "parameters\nM": ("parameters", 2),
    **{head: (f"gmacs.{key}", 2) for head, key in GMACS.items()},
    "peak\nMB": ("peak_memory_mb", 0),
    "median\nms": ("latency_ms.median", 1),
    "p95\nms": ("latency_ms.p95", 1),
    "images\n/s": ("images_per_second", 2),
    "first pass\ns": ("first_pass_s", 1),
}
"""Head -> key of the JSON's rows, and digits."""
ADAPTER_COSTS = {
    "adapters\nM": ("adapter_parameters", 2),
    "parameters\nM": ("parameters_with_adapters", 2),
    **{head: (f"gmacs_with_adapters.{key}", 2) for head, key in GMACS.items()},
}


def run_profile(config: ProfileConfig) -> None:
    """Measure what a config names; print a table or JSON, and write JSON where ``output`` says.

    Raises:
        TransKDError: not everything could be measured; what could is printed and written all the same.
        ConfigError: ``output`` cannot be written to.
    """
    import torch

    from transkd.profiling import Case, Settings, profile

    path = None if config.output is None else Path(config.output).expanduser()
    if path is not None:
        try:  # before minutes of measuring
            path.parent.mkdir(parents=True, exist_ok=True)
            TemporaryFile(dir=path.parent).close()
        except OSError as error:
            raise ConfigError(f"output: {path} cannot be written: {error.strerror}") from error
    device = {"auto": "cuda" if torch.cuda.is_available() else "cpu"}.get(config.device, config.device)
    threads = config.threads or torch.get_num_threads()
    settings = Settings(device, threads, config.runs, config.warm_up, config.num_classes, config.latency, config.memory)
    cases = product(config.models, config.size, config.batch, config.precision, config.backend)
    with counting(screen()) as bars:
        task_of = cache(lambda what: bars.add_task(what, total=None))
        measured = profile(
            [Case(*values) for values in cases],
            settings,
            export=_export_onnx,
            progress=lambda what, done, total: bars.update(task_of(what), completed=done, total=total),
        )
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
        write_text(path, f"{text}\n")
    problems = [f"{_title(row)}: {row['problem']}" for row in (*rows, *adapters) if row["problem"]]
    if config.format == "json":
        print(text)
    else:
        texts = {key: [_text(row[key]) for row in rows] for key in SETTINGS}
        shared = {key: values[0] for key, values in texts.items() if len(set(values)) == 1}
        where = f"{device}, {threads} threads" if device == "cpu" else device
        title = ", ".join([*(f"{key} {value}" for key, value in shared.items()), where])
        title += f"; median and p95 of {config.runs} passes in turns" if config.latency else ""
        varying = {key: values for key, values in texts.items() if key not in shared}
        print_costs(title, {"model": [row["model"] for row in rows], **varying}, rows, COSTS)
        if adapters:
            title = f"While {config.adapter_teacher} teaches (the adapters leave with the losses)"
            labels = {"student + adapters": list(map(_title, adapters))}
            labels["size"] = [_text(row["size"]) for row in adapters]
            print_costs(title, labels, adapters, ADAPTER_COSTS)
        print(*problems, *([f"written to {path}"] if path else []), sep="\n")
    if problems:
        raise TransKDError(f"{len(problems)} of {len(rows) + len(adapters)} rows could not be measured; each says why")


def print_costs(title: str, labels: Mapping[str, list[str]], rows: Rows, costs: Mapping[str, tuple[str, int]]) -> None:
    """Print labels and costs, a line a row; where the terminal is too narrow for all, with one count of the three.

    Args:
        title: of the table.
        labels: head -> a text for each row.
        rows: of the JSON.
        costs: head -> key, and digits. A head that ends with M counts millions.
    """
    columns = dict(labels)
    for head, (keys, digits) in costs.items():
        unit = 1e6 if head.endswith("\nM") else 1
        values: list[Any] = [reduce(lambda value, key: value and value[key], keys.split("."), row) for row in rows]
        columns[head] = [NOTHING if value is None else f"{value / unit:.{digits}f}" for value in values]
        if set(columns[head]) == {NOTHING} and not keys.startswith(COUNTS):
            del columns[head]
    console = output()
    table = text_table(list(columns), zip(*columns.values(), strict=True), title)
    if console.measure(table, options=console.options.update(width=1000)).maximum > console.width:
        narrow = {head: cells for head, cells in columns.items() if head not in list(GMACS)[1:]}
        table = text_table(list(narrow), zip(*narrow.values(), strict=True), title)
        table.caption = "GMAC with attention; the other two counts: a wider terminal, or output=FILE"
        table.caption_justify = "left"
    console.print(table)


def _export_onnx(network: nn.Module, precision: str, path: Path) -> None:
    from transkd.export import export_segmenter
    from transkd.models import Segmenter

    if not isinstance(network, Segmenter):
        raise ConfigError("only segmenters of transkd are exported here; export it yourself, and name the .onnx file")
    if precision == "bf16":
        raise ConfigError("ONNX files are made in fp32 and fp16")
    export_segmenter(network, path, "onnx", precision=precision)


def _adapter_rows(config: ProfileConfig) -> Iterator[dict[str, Any]]:
    """Yield a row for each segmenter among the models, method and size; other networks have no taps to distil."""
    from transkd.evaluation.cost import count_network, count_parameters
    from transkd.models import Segmenter
    from transkd.profiling import open_network
    from transkd.training.preflight import method_cost

    network, alone = cache(open_network), cache(count_network)
    for name, method, size in product(config.models, config.adapters, config.size):
        row: dict[str, Any] = {"student": name, "teacher": config.adapter_teacher, "distillation": method}
        row |= {"size": list(size), **dict.fromkeys(COUNTED), "problem": None}
        try:
            student = network(name, config.num_classes)
            if not isinstance(student, Segmenter):
                continue
            teacher = network(config.adapter_teacher, config.num_classes)
            if not isinstance(teacher, Segmenter):
                raise ConfigError(f"adapter_teacher={row['teacher']} is no segmenter of transkd: it has no taps")
            cost = method_cost(_method_losses(method), student, teacher, size)
            parameters, macs = count_parameters(student) + cost.parameters, alone(student, size) + cost.macs
            row |= zip(COUNTED, (cost.parameters, parameters, cost.macs.in_giga(), macs.in_giga()), strict=True)
        except TransKDError as error:
            row["problem"] = " ".join(str(error).split())
        yield row


def _method_files() -> dict[str, Path]:
    files = {path.stem: path for path in (config_folder() / "distillation").glob("*.yaml")}
    return {name: path for name, path in files.items() if name not in ("none", "base")}


def _method_losses(method: str) -> dict[str, dict[str, Any]]:
    """Return the losses of a method of ``conf/distillation``, or the one loss of that name, with their options."""
    file = _method_files().get(method)
    return dict(yaml.safe_load(file.read_text())["losses"]) if file else {method: {}}


def _title(row: Mapping[str, Any]) -> str:
    if "student" in row:
        return f"{row['student']} + {row['distillation']}"
    return f"{row['model']} ({_text(row['size'])}, batch {row['batch']}, {row['precision']}, {row['backend']})"


def _text(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)
