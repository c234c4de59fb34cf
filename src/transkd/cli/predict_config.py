"""The schema of ``transkd-predict``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from transkd.cli.windows import window
from transkd.errors import ConfigError, TransKDError
from transkd.options import SMALLEST_SIDE, Positive, Problem, Section, Side, Size, find_problems, mistakes, shown
from transkd.prediction.plan import KINDS, Existing, Kind


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


NATIVE_NEEDS_CROP = "inference=slide on pictures of their own sizes needs the windows': crop=[512,512]"


class PredictConfig(Section):
    """Everything that predictions are made from."""

    model: str
    model2: str | None
    input: str
    output: str
    kinds: Annotated[
        list[Kind], BeforeValidator(_listed), Field(min_length=1, title=f"one or more of {', '.join(KINDS)}")
    ]
    size: Annotated[
        Size | None,
        Field(title=f"a short side in pixels (512), [height, width], {SMALLEST_SIDE} or more, native, or null"),
    ]
    inference: Literal["whole", "slide"]
    crop: Annotated[
        tuple[Side, Side] | None,
        Field(title=f"[height, width] in pixels, {SMALLEST_SIDE} or more each ([512, 512])"),
    ]
    stride: Annotated[tuple[Positive, Positive] | None, Field(title="[down, right] in pixels ([341, 341])")]
    scales: Annotated[
        list[Annotated[float, Field(gt=0, allow_inf_nan=False)]],
        Field(min_length=1, title="factors ([0.75, 1, 1.25])"),
    ]
    flip: bool
    batch_size: Positive
    classes: str | None
    opacity: Annotated[float, Field(ge=0, le=1)]
    legend: bool
    existing: Existing
    overwrite: bool
    device: str
    precision: Literal["fp32", "bf16"]
    threads: Positive | None
    imports: list[str] = Field(default_factory=list)

    @property
    def when_existing(self) -> Existing:
        """What to do where an output exists."""
        return "overwrite" if self.overwrite else self.existing


def predict_problems(values: Mapping[str, Any]) -> list[Problem]:
    """List every key that is unknown or missing, and every value that does not fit."""
    problems = find_problems(PredictConfig, values)
    for keys, check in (
        (("inference", "crop", "stride"), _whole),
        (("inference", "crop", "stride", "size"), _windows),
        (("kinds", "model2"), _kinds),
        (("classes",), _classes),
        (("model", "input", "output"), _empty),
    ):
        if not any(problem.touches(key) for problem in problems for key in keys):
            problems += check(values)
    if values.get("overwrite") is True and values.get("existing") == "skip":
        problems.append(Problem("overwrite", "overwrite=true replaces what existing=skip keeps; leave one of them out"))
    return problems


def parse_predict(values: Mapping[str, Any]) -> PredictConfig:
    """Check a composed config.

    Raises:
        ConfigError: listing all that :func:`predict_problems` finds.
    """
    problems = predict_problems(values)
    if problems:
        raise ConfigError(mistakes(problems))
    return PredictConfig.model_validate(values)


def _empty(values: Mapping[str, Any]) -> Iterator[Problem]:
    for key in ("model", "input", "output"):
        if not values[key].strip():
            yield Problem(key, "is empty; '.' is the current folder")


def _whole(values: Mapping[str, Any]) -> Iterator[Problem]:
    if values["inference"] == "whole" and (values["crop"] is not None or values["stride"] is not None):
        yield Problem("crop", "windows are for inference=slide; leave out crop and stride, or add it")


def _windows(values: Mapping[str, Any]) -> Iterator[Problem]:
    if values["inference"] == "whole":
        return
    crop, stride = window(values["crop"], values["size"]), values["stride"]
    if crop is None and values["size"] == "native":
        yield Problem("crop", NATIVE_NEEDS_CROP)
    elif crop and stride and any(step > side for side, step in zip(crop, stride, strict=True)):
        yield Problem("stride", f"steps of {shown(stride)} leave gaps between windows of {shown(crop)}")


def _kinds(values: Mapping[str, Any]) -> Iterator[Problem]:
    kinds = values["kinds"] if isinstance(values["kinds"], list) else [values["kinds"]]
    if repeated := sorted({kind for kind in kinds if kinds.count(kind) > 1}):
        yield Problem("kinds", f"{', '.join(repeated)} stands there more than once")
    if values["model2"] is not None and "compare" not in kinds:
        yield Problem("model2", "a second model is drawn side by side only: kinds=[compare]")


def _classes(values: Mapping[str, Any]) -> Iterator[Problem]:
    if values["classes"] is None:
        return
    from transkd.cli.predict_classes import named_classes

    try:
        named_classes(str(values["classes"]))
    except TransKDError as error:
        yield Problem("classes", str(error))
