"""Documented commands made small: what is typed stays as it is, what it composes is changed before it runs."""

from __future__ import annotations

import copy
import importlib
import io
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO
from unittest import mock

import onnx
from omegaconf import OmegaConf
from torch import Tensor, nn

from transkd.cli.commands import COMMANDS
from transkd.cli.sweep import plan as sweep_plan
from transkd.cli.sweep.jobs import Sweep
from transkd.evaluation.digest import module_digest
from transkd.export import exporting
from transkd.export.graph import ExportGraph
from transkd.export.onnx_format import describe, save
from transkd.models import create_segmenter
from transkd.models.backbones import Backbone, BackboneEntry, register_backbone

Values = dict[str, Any]
Shrink = Callable[[ModuleType, Sequence[str]], AbstractContextManager[list[str]]]
SIZE = [64, 96]
TINY_TRAINER = {
    "accelerator": "cpu",
    "devices": 1,
    "num_nodes": 1,
    "strategy": "auto",
    "max_steps": 1,
    "limit_val_batches": 1,
    "num_sanity_val_steps": 0,
}


class Bare(Backbone):
    """Four stages of a patchifying convolution and another one: what trains and exports fastest."""

    strides = (4, 8, 16, 32)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.channels = (width, width, width, width)
        self.embed = nn.ModuleList(
            nn.Conv2d(before, width, 2 * step - 1, step, step - 1)
            for before, step in ((3, 4), (width, 2), (width, 2), (width, 2))
        )
        self.blocks = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in self.channels)

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        embeddings, features = [], [images]
        for embed, block in zip(self.embed, self.blocks, strict=True):
            embeddings.append(embed(features[-1]))
            features.append(block(embeddings[-1]).relu())
        return tuple(embeddings), tuple(features[1:])


STUDENT, TEACHER = "small", "small_teacher"
register_backbone(STUDENT, BackboneEntry(lambda rate: Bare(8), segformer_width=16))
register_backbone(TEACHER, BackboneEntry(lambda rate: Bare(16), segformer_width=16))


@contextmanager
def as_it_is(command: str, argv: Sequence[str]) -> Iterator[list[str]]:
    """Run a command unchanged."""
    yield list(argv)


@contextmanager
def checked_only(command: str, argv: Sequence[str]) -> Iterator[list[str]]:
    """Let a command compose and check its config, plan its sweep, and do nothing."""
    with (
        _commands(command, lambda run: lambda values: None, _on_cpu),
        mock.patch.object(Sweep, "launch", return_value=0),
        mock.patch.object(sweep_plan, "_jobs", _first_and_last_jobs),
    ):
        yield list(argv)


@contextmanager
def small(command: str, argv: Sequence[str]) -> Iterator[list[str]]:
    """Run a command on tiny networks and images, for one step; of a sweep, the first job.

    Launchers are for what this process is not: they are checked, and the jobs run here.
    """
    name = argv[0].removeprefix("transkd-")
    make_small = SMALLER.get(name, dict)

    with (
        _commands(command, lambda run: lambda values: run(make_small(values))),
        mock.patch.object(Sweep, "launch", _launch_first_job),
        mock.patch.object(sweep_plan, "_jobs", _first_and_last_jobs),
        mock.patch("transkd.reporting.files.table_plots", return_value=[]),
        mock.patch.object(exporting, "write_onnx", _write_onnx_once),
        mock.patch("transkd.profiling.profiler.peak_memory_mb", return_value=(1.0, None)),  # in a new process
        mock.patch("transkd.training.run.print_preflight"),  # it counts GMAC, which takes longer than the run
        mock.patch("transkd.training.finish.segmenter_gmacs", return_value=0.0),
        mock.patch("transkd.training.finish.adapter_facts", return_value={}),
    ):
        yield [argument for argument in argv if not argument.startswith(("hydra/launcher=", "hydra.launcher."))]


def has_launcher(argv: Sequence[str]) -> bool:
    """Return whether a command's jobs are for other processes, so that it has to be checked as it stands."""
    return any(argument.startswith("hydra/launcher=") for argument in argv)


_launch, _jobs = Sweep.launch, sweep_plan._jobs


def _first_and_last_jobs(overrides: Any) -> list[list[str]]:
    """Plan no more than six jobs of a sweep; that each ready sweep composes is tested where sweeps are."""
    jobs = _jobs(overrides)
    return jobs if len(jobs) <= 6 else [*jobs[:3], *jobs[-3:]]


def _launch_first_job(sweep: Sweep, app: Callable[[], Any]) -> int:
    place = sweep_plan.BASIC_SWEEPER.rpartition(".")[0]
    sweeper = importlib.import_module(place).BasicSweeper  # Hydra loads it again and again
    split = sweeper.split_arguments
    sweep.plan = replace(sweep.plan, jobs=sweep.plan.jobs[:1])
    with mock.patch.object(sweeper, "split_arguments", staticmethod(lambda *given: [split(*given)[0][:1]])):
        return _launch(sweep, app)


_written: dict[tuple[object, ...], bytes] = {}
_write_onnx = exporting.write_onnx


def _write_onnx_once(graph: ExportGraph, path: Path, metadata: Values, *, size: tuple[int, int] | None) -> None:
    """Trace each graph once, which takes seconds; the rest of an export, and its comparison, is done each time."""
    key = (module_digest(graph), graph.input_type, graph.result, size)
    if key not in _written:
        _write_onnx(graph, path, metadata, size=size)
        _written[key] = path.read_bytes()
        return
    model = onnx.load_from_string(_written[key])
    describe(model, metadata)
    save(model, path)


Run = Callable[[Values], Any]


@contextmanager
def _commands(name: str, change: Callable[[Run], Run], seen: Callable[[Values], Values] = dict) -> Iterator[None]:
    """Change what a command does with its config, and what of the config is checked."""
    kind = type(COMMANDS[name])
    problems, execute = kind.problems, kind.execute

    def changed(self: Any, values: Values, *, checked: bool) -> Any:
        return change(lambda new: execute(self, new, checked=False))(values)

    with (
        mock.patch.object(kind, "problems", lambda self, values: problems(self, seen(values))),
        mock.patch.object(kind, "execute", changed),
        mock.patch.object(OmegaConf, "load", _load_once),
    ):
        yield


_load = OmegaConf.load
_loaded: dict[str, Any] = {}


def _load_once(file: TextIO | Path | str) -> Any:
    """Parse each YAML file once: composing the same files over and over is most of what the commands here do."""
    text = Path(file).read_text(encoding="utf-8") if isinstance(file, Path | str) else file.read()
    if text not in _loaded:
        _loaded[text] = _load(io.StringIO(text))
    return copy.deepcopy(_loaded[text])


def _on_cpu(values: Values) -> Values:
    """Return a training's config as if it needed no GPU, which Lightning looks for."""
    trainer = values.get("trainer")
    if not isinstance(trainer, dict) or trainer.get("accelerator") == "cpu":
        return values
    return {**values, "trainer": {**trainer, "accelerator": "cpu", "devices": 1}}


def _train(values: Values) -> Values:
    if values["resume"] == "none":
        shutil.rmtree(values["output"], ignore_errors=True)  # another command of the page has made it
    student, teacher = values["student"], values["teacher"]
    data = {**values["data"], "size": SIZE, "batch_size": 2, "val_batch_size": 2, "workers": 0}
    options = {key: value for key, value in values["augment"]["options"].items() if key != "crop"}
    trainer = {**values["trainer"], **TINY_TRAINER, "enable_progress_bar": False}
    return {
        **values,
        "data": data,
        "augment": {**values["augment"], "options": options},
        "student": {**student, "backbone": STUDENT if student["backbone"].endswith("b0") else TEACHER},
        "teacher": {**teacher, "backbone": TEACHER if teacher["weights"] in ("random", None) else None},
        "trainer": trainer,
        "compile": False,
        "pictures": min(values["pictures"], 1),
    }


def _eval(values: Values) -> Values:
    size = None if values["protocol"]["size"] is None else SIZE
    dataset = values["data"]["name"]
    model = re.sub(r"^runs/NAME(?=/|$)", f"runs/{dataset}_mitb0-transkd_ea-s0", values["model"])
    return {
        **values,
        "model": model,
        "protocol": {**values["protocol"], "size": size},
        "data": {**values["data"], "size": SIZE},
        "crop": values["crop"] and [48, 48],
        "stride": values["stride"] and [32, 32],
        "workers": 0,
        "resamples": 10,
        "pictures": min(values["pictures"], 1),
    }


def _predict(values: Values) -> Values:
    return {
        **values,
        "size": values["size"] and SIZE,
        "crop": values["crop"] and [48, 48],
        "stride": None,
        "threads": 1,
    }


def _export(values: Values) -> Values:
    if values["format"] == "huggingface":
        create_segmenter("mit_b0", 3).save_pretrained("as_published")
        return {**values, "model": "as_published"}
    data = values.get("data")
    changes: Values = {"calibration": {**values["calibration"], "count": 2, "size": SIZE}}
    if values["size"] is not None:
        changes["size"] = SIZE
    if data is not None:
        changes["data"] = {**data, "size": SIZE, "workers": 0}
    return {**values, **changes}


def _profile(values: Values) -> Values:
    """Measure one small network in place of the backbones, and nothing compiled or exported, which takes minutes."""
    models, adapters = (_listed(values[key]) for key in ("models", "adapters"))
    smaller = [re.sub(r"-b\d$", "-b0", model) if re.search(r"[/.:]", model) else STUDENT for model in models]
    changes: Values = {"size": SIZE, "backend": "eager", "runs": 1, "warm_up": 0, "threads": None}
    changes |= {"models": list(dict.fromkeys(smaller)), "adapters": adapters[:3], "adapter_teacher": TEACHER}
    return {**values, **changes}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _data(values: Values) -> Values:
    small_ones = {"workers": 0, "train": 2, "val": 1, "size": SIZE, "pictures": 1}
    return {**values, **{key: value for key, value in small_ones.items() if key in values}}


def _report(values: Values) -> Values:
    return {**values, "tables": "split", "scenes": 1}  # runs of one step each, of all that the page has


def _doctor(values: Values) -> Values:
    return {**values, "trials": False}


SMALLER: dict[str, Callable[[Values], Values]] = {
    "train": _train,
    "eval": _eval,
    "predict": _predict,
    "export": _export,
    "profile": _profile,
    "data": _data,
    "report": _report,
    "doctor": _doctor,
}
