"""The schema of ``transkd-eval``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from transkd.data import available_datasets
from transkd.errors import ConfigError, did_you_mean
from transkd.evaluation import Resolution
from transkd.models.checks import SMALLEST_SIDE
from transkd.training.config import DataConfig, Positive, Section, Side, Size
from transkd.training.problems import Problem, mistakes, schema_problems

Window = tuple[Side, Side]
FROM_DATA = {"split": "val_split", "batch_size": "val_batch_size", "workers": "workers"}


class ProtocolConfig(Section):
    """Where predictions meet labels."""

    name: str
    size: Size | None
    resolution: Resolution
    label_size: Literal["image", "own"]


class EvalConfig(Section):
    """Everything that a score is made from."""

    model: str
    data: DataConfig
    protocol: ProtocolConfig
    split: str
    inference: Literal["whole", "slide"]
    crop: Annotated[
        Window | None, Field(description=f"[height, width] in pixels, {SMALLEST_SIDE} or more each ([512, 512])")
    ]
    stride: Annotated[tuple[Positive, Positive] | None, Field(description="[down, right] in pixels ([341, 341])")]
    scales: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1, description="factors ([0.75, 1, 1.25])")]
    flip: bool
    batch_size: Positive
    workers: Annotated[int, Field(ge=0)]
    boundary: bool
    resamples: Annotated[int, Field(ge=0)]
    pictures: Annotated[int, Field(ge=0)]
    device: str
    precision: Literal["fp32", "bf16"]
    output: str | None
    overwrite: bool


def eval_problems(values: Mapping[str, Any]) -> list[Problem]:
    """List every key that is unknown or missing, and every value that does not fit."""
    values = _filled(values)
    problems = schema_problems(EvalConfig, values)
    if "data" not in values:
        known = ", ".join(available_datasets())
        others = [problem for problem in problems if problem.path not in ("data", *FROM_DATA)]
        return [*others, Problem("data", f"is missing: say what to score on, such as data=camvid ({known})")]
    if any(problem.touches(key) for problem in problems for key in ("inference", "crop", "stride", "data")):
        return problems
    name = values["data"]["name"]
    if name not in available_datasets():
        problems.append(
            Problem("data.name", f"there is no dataset '{name}'; {did_you_mean(name, available_datasets())}")
        )
    if values["inference"] == "slide" and values["crop"] is None:
        problems.append(Problem("crop", "inference=slide needs the windows' size: crop=[512,512]"))
    if values["inference"] == "whole" and (values["crop"] is not None or values["stride"] is not None):
        problems.append(Problem("crop", "windows are for inference=slide; leave out crop and stride, or add it"))
    crop, stride = values["crop"], values["stride"]
    if crop and stride and any(step > side for side, step in zip(crop, stride, strict=True)):
        problems.append(Problem("stride", f"steps of {stride} leave gaps between windows of {crop}"))
    return problems


def parse_eval(values: Mapping[str, Any]) -> EvalConfig:
    """Check a composed config.

    Raises:
        ConfigError: listing all that :func:`eval_problems` finds.
    """
    problems = eval_problems(values)
    if problems:
        raise ConfigError(mistakes(problems))
    return EvalConfig.model_validate(_filled(values))


def _filled(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with the dataset's own where the user named none."""
    data = values.get("data")
    own = data if isinstance(data, Mapping) else {}
    return {**values, **{key: own.get(of) for key, of in FROM_DATA.items() if values.get(key) is None}}
