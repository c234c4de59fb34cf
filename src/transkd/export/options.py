"""How a segmenter is exported: the choices, and what does not fit together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from transkd.errors import ConfigError, did_you_mean
from transkd.export.compare import Precision
from transkd.export.graph import InputType, ResultType
from transkd.options import SMALLEST_SIDE

Format = Literal["huggingface", "onnx", "torch"]
_CHOICES = {
    "format": get_args(Format),
    "input": get_args(InputType),
    "result": get_args(ResultType),
    "precision": get_args(Precision),
}


@dataclass(frozen=True)
class ExportOptions:
    """How a segmenter is exported.

    Attributes:
        format: ``"huggingface"`` (a folder), ``"onnx"`` or ``"torch"`` (a file).
        input: images the file takes, ``"uint8"`` or ``"float"`` in [0, 1].
        result: ``"logits"`` or ``"classes"``, at the images' size.
        precision: ``"fp32"``, or of an ONNX file ``"fp16"`` or ``"int8"``.
        size: the only height and width that the file takes; None for any.
        calibration: a folder of images that int8 is calibrated on.
        calibration_size: height and width they are resized to; None takes the run's, or their own.
        calibration_count: how many of them.
        tolerance: how much the file may differ; None takes the precision's, see ``export/compare.py``.
        push: id of a hub repository to upload a folder to.
        overwrite: replace what is there.
    """

    format: Format
    input: InputType = "uint8"
    result: ResultType = "logits"
    precision: Precision = "fp32"
    size: tuple[int, int] | None = None
    calibration: str | None = None
    calibration_size: tuple[int, int] | None = None
    calibration_count: int = 64
    tolerance: float | None = None
    push: str | None = None
    overwrite: bool = False

    def problems(self) -> dict[str, str]:
        """Return what does not fit together, key -> what to do."""
        found = self._value_problems()
        if "precision" not in found and self.format != "onnx" and self.precision != "fp32":
            found["precision"] = f"{self.precision} is for format=onnx; {self.format} keeps 32 bits: leave it out"
        if self.precision == "int8" and self.calibration is None:
            found["calibration.images"] = "int8 is calibrated on images of your own: give a folder of them"
        if self.format == "huggingface":
            for key, default in (("input", "uint8"), ("result", "logits"), ("size", None)):
                if key not in found and getattr(self, key) != default:
                    found[key] = "transformers' folders have no such choice; leave it out, or use format=onnx"
        elif self.push is not None:
            found["push"] = "goes with format=huggingface, whose folder has what the hub shows"
        return found

    def _value_problems(self) -> dict[str, str]:
        found = {}
        for key, choices in _CHOICES.items():
            if (value := getattr(self, key)) not in choices:
                found[key] = f"there is no such choice '{value}'; {did_you_mean(str(value), choices)}"
        for key, size in {"size": self.size, "calibration.size": self.calibration_size}.items():
            if size is not None and not _is_size(size):
                found[key] = f"give (height, width) in pixels, {SMALLEST_SIDE} or more each, not {size!r}"
        if self.calibration_count < 1:
            found["calibration.count"] = f"is at least 1, not {self.calibration_count}"
        if self.tolerance is not None and not 0 <= self.tolerance < math.inf:
            found["tolerance"] = f"is a number of at least 0, not {self.tolerance}"
        return found


def export_options(format: Format, options: Mapping[str, Any]) -> ExportOptions:
    """Return how a segmenter is exported, checked.

    Args:
        format: see :class:`ExportOptions`.
        options: its further attributes by name.

    Raises:
        ConfigError: naming each option that does not exist or does not fit.
    """
    known = {field.name for field in fields(ExportOptions)} - {"format"}
    if unknown := [name for name in options if name not in known]:
        raise ConfigError(
            "; ".join(f"{name}: there is no such option; {did_you_mean(name, known)}" for name in unknown)
        )
    chosen = ExportOptions(format, **options)
    if problems := chosen.problems():
        raise ConfigError("; ".join(f"{key}: {text}" for key, text in problems.items()))
    return chosen


def _is_size(value: object) -> bool:
    return (
        isinstance(value, Sequence)
        and len(value) == 2
        and all(isinstance(side, int) and side >= SMALLEST_SIDE for side in value)
    )
