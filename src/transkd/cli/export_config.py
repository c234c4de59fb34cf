"""The schema of ``transkd-export``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from transkd.errors import ConfigError
from transkd.export.compare import Precision
from transkd.export.graph import InputType, ResultType
from transkd.export.options import ExportOptions, Format
from transkd.options import SMALLEST_SIDE, Positive, Problem, Section, Side, find_problems, mistakes
from transkd.training.config import DataConfig

ImageSize = Annotated[
    tuple[Side, Side] | None,
    Field(title=f"[height, width] in pixels, {SMALLEST_SIDE} or more each ([512, 1024])"),
]


class CalibrationConfig(Section):
    """Images that int8 is calibrated on."""

    images: str | None
    count: Positive
    size: ImageSize


class ExportConfig(Section):
    """Everything that an export is made from."""

    model: str
    format: Format
    output: str
    overwrite: bool
    input: InputType
    result: ResultType
    precision: Precision
    dynamic: bool
    size: ImageSize
    calibration: CalibrationConfig
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    push: str | None
    data: DataConfig | None = None
    imports: list[str] = Field(default_factory=list)

    def options(self) -> ExportOptions:
        """Return what the exporter is told."""
        return ExportOptions(
            self.format,
            input=self.input,
            result=self.result,
            precision=self.precision,
            size=self.size,
            calibration=self.calibration.images,
            calibration_size=self.calibration.size,
            calibration_count=self.calibration.count,
            tolerance=self.tolerance,
            push=self.push,
            overwrite=self.overwrite,
        )


def export_problems(values: Mapping[str, Any]) -> list[Problem]:
    """List every key that is unknown or missing, and every value that does not fit."""
    problems = find_problems(ExportConfig, values)
    if problems:
        return problems
    config = ExportConfig.model_validate(values)
    found = [Problem(key, text) for key, text in config.options().problems().items()]
    if config.dynamic and config.size is not None:
        found.append(Problem("size", "is for images of one size only: add dynamic=false, or leave it out"))
    if not config.dynamic and config.size is None:
        found.append(Problem("size", "dynamic=false needs the images' size: size=[512,1024]"))
    return found


def parse_export(values: Mapping[str, Any]) -> ExportConfig:
    """Check a composed config.

    Raises:
        ConfigError: listing all that :func:`export_problems` finds.
    """
    problems = export_problems(values)
    if problems:
        raise ConfigError(mistakes(problems))
    return ExportConfig.model_validate(values)
