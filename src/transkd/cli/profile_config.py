"""The schema of ``transkd-profile``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import torch
from pydantic import BeforeValidator, Field

from transkd.cli.app import config_folder
from transkd.distillation import available_losses
from transkd.errors import ConfigError, did_you_mean
from transkd.options import SMALLEST_SIDE, Positive, Problem, Section, Side, find_problems, mistakes
from transkd.profiling import name_problem

Item = TypeVar("Item")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _sizes(value: object) -> object:
    several = isinstance(value, list) and (not value or isinstance(value[0], list))
    return value if several else [value]


OneOrMore = Annotated[list[Item], BeforeValidator(_listed), Field(min_length=1)]
Sizes = Annotated[
    list[Annotated[list[Side], Field(min_length=2, max_length=2)]],
    BeforeValidator(_sizes),
    Field(
        min_length=1,
        title=f"[height, width] in pixels ([512, 1024]), {SMALLEST_SIDE} or more each, or a list of such",
    ),
]


class ProfileConfig(Section):
    """Everything that a profile is made from."""

    models: OneOrMore[str]
    size: Sizes
    batch: Annotated[OneOrMore[Positive], Field(title="a number of images, 1 or more, or a list of such")]
    precision: Annotated[
        OneOrMore[Literal["fp32", "bf16", "fp16"]], Field(title="fp32, bf16 or fp16, or a list of them")
    ]
    backend: Annotated[
        OneOrMore[Literal["eager", "compiled", "onnx"]], Field(title="eager, compiled or onnx, or a list of them")
    ]
    device: Literal["auto", "cpu", "cuda"]
    threads: Positive | None
    runs: Positive
    warm_up: Annotated[int, Field(ge=0)]
    num_classes: Positive
    latency: bool
    memory: bool
    adapters: Annotated[list[str], BeforeValidator(_listed)]
    adapter_teacher: str
    format: Literal["table", "json"]
    output: str | None
    overwrite: bool

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Heights and widths in pixels."""
        return [(height, width) for height, width in self.size]

    @property
    def on(self) -> str:
        """The device that is measured."""
        return ("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device


def profile_problems(values: Mapping[str, Any]) -> list[Problem]:
    """List every key that is unknown or missing, and every value and name that does not fit."""
    problems = find_problems(ProfileConfig, values)
    for check in (_names, _methods, _device, _output):
        key = check.__name__.removeprefix("_")
        if not any(problem.touches({"names": "models", "methods": "adapters"}.get(key, key)) for problem in problems):
            problems += check(values)
    return problems


def parse_profile(values: Mapping[str, Any]) -> ProfileConfig:
    """Check a composed config.

    Raises:
        ConfigError: listing all that :func:`profile_problems` finds.
    """
    problems = profile_problems(values)
    if problems:
        raise ConfigError(mistakes(problems))
    return ProfileConfig.model_validate(values)


def method_names() -> list[str]:
    """Return what ``adapters`` takes: the methods of ``conf/distillation`` and the registered losses."""
    methods = {path.stem for path in (config_folder() / "distillation").glob("*.yaml")} - {"none", "base"}
    return sorted(methods | set(available_losses()))


def _names(values: Mapping[str, Any]) -> Iterator[Problem]:
    for name in dict.fromkeys(_listed(values["models"])):
        if problem := name_problem(str(name)):
            yield Problem("models", f"'{name}': {problem}")


def _methods(values: Mapping[str, Any]) -> Iterator[Problem]:
    known = method_names()
    for name in _listed(values["adapters"]):
        if name not in known:
            yield Problem("adapters", f"there is no method or loss '{name}'; {did_you_mean(str(name), known)}")
    if values["adapters"] and (problem := name_problem(str(values["adapter_teacher"]))):
        yield Problem("adapter_teacher", f"'{values['adapter_teacher']}': {problem}")


def _device(values: Mapping[str, Any]) -> Iterator[Problem]:
    if values["device"] == "cuda" and not torch.cuda.is_available():
        yield Problem("device", "torch finds no GPU here: device=cpu, or auto")


def _output(values: Mapping[str, Any]) -> Iterator[Problem]:
    if values["output"] is None:
        return
    path = Path(values["output"]).expanduser()
    if path.is_dir():
        yield Problem("output", f"{path} is a folder; give a file")
    elif path.exists() and values.get("overwrite") is not True:
        yield Problem("output", f"{path} exists; overwrite=true replaces it")
