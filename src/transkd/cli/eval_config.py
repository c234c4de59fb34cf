"""The schema of ``transkd-eval``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal

from omegaconf import OmegaConf
from pydantic import Field

from transkd.cli.app import config_folder
from transkd.cli.eval_ignored import ignored_problems, named_keys
from transkd.cli.windows import window
from transkd.data import available_datasets
from transkd.data.datasets import get_layout
from transkd.errors import ConfigError
from transkd.evaluation import Resolution
from transkd.evaluation.inference import Inference
from transkd.options import SMALLEST_SIDE, Positive, Problem, Section, Side, Size, find_problems, mistakes, shown
from transkd.training.config import DataConfig

__all__ = ["EvalConfig", "eval_problems", "named_keys", "parse_eval"]

Window = tuple[Side, Side]
FROM_DATA = {"split": "val_split", "batch_size": "val_batch_size", "workers": "workers"}


class ProtocolConfig(Section):
    """Where predictions meet labels."""

    name: str
    size: Size | None
    resolution: Resolution
    label_size: Literal["image", "own"]

    @property
    def title(self) -> str:
        """The protocol's name, and what is set otherwise than the protocol of that name has it."""
        own = _preset(self.name)
        changed = [f"{key} {_written(getattr(self, key))}" for key in own if getattr(self, key) != own[key]]
        return ", ".join([self.name, *changed])


class EvalConfig(Section):
    """Everything that a score is made from."""

    model: str
    data: DataConfig
    protocol: ProtocolConfig
    split: str
    inference: Literal["whole", "slide"]
    crop: Annotated[Window | None, Field(title=f"[height, width] in pixels, {SMALLEST_SIDE} or more each ([512, 512])")]
    stride: Annotated[tuple[Positive, Positive] | None, Field(title="[down, right] in pixels ([341, 341])")]
    scales: Annotated[
        list[Annotated[float, Field(gt=0, allow_inf_nan=False)]],
        Field(min_length=1, title="factors ([0.75, 1, 1.25])"),
    ]
    flip: bool
    batch_size: Positive
    workers: Annotated[int, Field(ge=0)]
    boundary: bool
    resamples: Annotated[int, Field(ge=0)]
    pictures: Annotated[int, Field(ge=0)]
    device: str
    precision: Literal["fp32", "bf16"]
    format: Annotated[Literal["cityscapes", "acdc"] | None, Field(title="cityscapes, acdc or null")]
    zip: bool
    output: str | None
    overwrite: bool
    imports: list[str] = Field(default_factory=list)

    @property
    def input_size(self) -> Size:
        """What images are resized to: the protocol's own size, or the data's."""
        return self.protocol.size or self.data.size

    @property
    def labelled(self) -> bool:
        """Whether the split must have labels: all but the one that the test server scores."""
        benchmark = get_layout(self.data.name).benchmark
        return self.format is None or benchmark is None or self.split != benchmark.split

    @property
    def views(self) -> Inference:
        """Windows, scales and flip; windows are squares of the input's short side where nothing else is said."""
        crop = window(self.crop, self.input_size) if self.inference == "slide" else None
        return Inference(crop, self.stride, tuple(self.scales), self.flip)


def eval_problems(values: Mapping[str, Any], named: Collection[str] = ()) -> list[Problem]:
    """List every key that is unknown or missing, every value that does not fit, and every key that does nothing.

    Args:
        values: the composed config.
        named: the keys that the user set.
    """
    given, values = values, _filled(values)
    problems = [_helpful(problem) for problem in find_problems(EvalConfig, values)]
    if "data" not in values:
        known = ", ".join(available_datasets())
        others = [problem for problem in problems if problem.path not in ("data", *FROM_DATA)]
        return [*others, Problem("data", f"is missing: say what to score on, such as data=camvid ({known})")]
    known_wrong = list(problems)
    for keys, check in (
        (("inference", "crop", "stride", "protocol", "data"), _windows),
        (("format", "zip", "data"), _submission),
        (("protocol", "data"), lambda _: ignored_problems(given, named)),
    ):
        if not any(problem.touches(key) for problem in known_wrong for key in keys):
            problems += check(values)
    return problems


def _helpful(problem: Problem) -> Problem:
    if (problem.path, problem.message) != ("model", "is missing"):
        return problem
    return Problem("model", "is missing: say what to score, such as model=runs/NAME/student or model=student.onnx")


def _windows(values: Mapping[str, Any]) -> Iterator[Problem]:
    crop, stride = values["crop"], values["stride"]
    if values["inference"] == "whole":
        if crop is not None or stride is not None:
            yield Problem("crop", "windows are for inference=slide; leave out crop and stride, or add it")
        return
    crop = window(crop, values["protocol"]["size"] or values["data"]["size"])
    if crop is None:
        yield Problem("crop", "inference=slide on images of their own sizes needs the windows': crop=[512,512]")
    elif stride and any(step > side for side, step in zip(crop, stride, strict=True)):
        yield Problem("stride", f"steps of {shown(stride)} leave gaps between windows of {shown(crop)}")


def _submission(values: Mapping[str, Any]) -> Iterator[Problem]:
    wanted, name = values["format"], values["data"]["name"]
    if wanted is None:
        if values["zip"]:
            yield Problem("zip", "packs the files for a test server: add format=cityscapes or acdc, or leave it out")
    elif name in available_datasets() and wanted != name:
        layout = get_layout(name)
        remedy = f"use format={name}" if layout.benchmark else "leave it out; transkd-predict writes ids of any images"
        nobody = "" if layout.benchmark else f"; {layout.title} has no test server that takes such files"
        yield Problem("format", f"{wanted} is for data={wanted}, not for {name}{nobody}: {remedy}")


def parse_eval(values: Mapping[str, Any]) -> EvalConfig:
    """Check a composed config.

    Raises:
        ConfigError: listing all that :func:`eval_problems` finds.
    """
    problems = eval_problems(values)
    if problems:
        raise ConfigError(mistakes(problems))
    return EvalConfig.model_validate(_filled(values))


@cache
def _preset(name: str) -> dict[str, Any]:
    """Return what the protocol of a name says, less what it leaves to the data; nothing where it is the user's own."""
    file = config_folder() / "protocol" / f"{name}.yaml"
    if not file.is_file():
        return {}
    values = OmegaConf.to_container(OmegaConf.load(file))
    assert isinstance(values, dict)
    own = {str(key): value for key, value in values.items() if value is not None}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in own.items()}


def _written(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _filled(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with the dataset's own where the user named none."""
    data = values.get("data")
    own = data if isinstance(data, Mapping) else {}
    return {**values, **{key: own.get(of) for key, of in FROM_DATA.items() if values.get(key) is None}}
