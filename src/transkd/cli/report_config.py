"""The schema of ``transkd-report``."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from transkd.cli.sweep_arguments import quoted
from transkd.errors import ConfigError
from transkd.options import Problem, Section, find_problems, mistakes
from transkd.reporting import ReportOptions
from transkd.reporting.collect import parse_condition

CONDITIONS = ("only", "exclude")
SPECIAL = ",[]{}()'\""
"""Signs that make Hydra read a value as something else than text."""


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


Texts = Annotated[list[str], BeforeValidator(_listed), Field(title="text, or a list of texts")]


class ReportConfig(Section):
    """Everything that a report is made from."""

    runs: Annotated[
        list[str], BeforeValidator(_listed), Field(min_length=1, title="a folder or a glob, or a list of such")
    ]
    output: str
    only: Texts
    exclude: Texts
    teacher_run: Texts
    tables: Literal["one", "split"]
    baseline: str | None
    confidence: Annotated[float, Field(gt=0.5, le=0.9999)]
    scenes: Annotated[int, Field(ge=0)]
    overwrite: bool

    def options(self) -> ReportOptions:
        """Return what the report is made from."""
        return ReportOptions(
            runs=tuple(self.runs),
            only=tuple(self.only),
            exclude=tuple(self.exclude),
            teacher_run=tuple(self.teacher_run) or None,
            split=self.tables == "split",
            confidence=self.confidence,
            baseline=self.baseline or "",
            scenes=self.scenes,
            command=self._command(),
        )

    def _command(self) -> str:
        """Return the command that makes the same report, wherever it is written to."""
        arguments = [f"runs={_written(self.runs)}"]
        arguments += [
            f"{key}={_written(getattr(self, key))}" for key in (*CONDITIONS, "teacher_run") if getattr(self, key)
        ]
        arguments += ["tables=split"] * (self.tables == "split")
        if self.baseline:
            special = any(sign in SPECIAL for sign in self.baseline)
            arguments.append(f"baseline={quoted(self.baseline) if special else self.baseline}")
        arguments += [f"confidence={self.confidence:g}"] * (self.confidence != 0.95)
        return shlex.join(["transkd-report", *arguments])


def report_problems(values: Mapping[str, Any]) -> list[Problem]:
    """List every key that is unknown or missing, and every value that does not fit."""
    problems = find_problems(ReportConfig, values)
    for key in CONDITIONS:
        if not any(problem.touches(key) for problem in problems):
            problems += _condition_problems(key, _listed(values[key]))
    return problems


def parse_report(values: Mapping[str, Any]) -> ReportConfig:
    """Check a composed config.

    Raises:
        ConfigError: listing all that :func:`report_problems` finds.
    """
    problems = report_problems(values)
    if problems:
        raise ConfigError(mistakes(problems))
    return ReportConfig.model_validate(values)


def _condition_problems(key: str, texts: list[Any]) -> Iterator[Problem]:
    for text in texts:
        try:
            parse_condition(str(text))
        except ConfigError as error:
            yield Problem(key, str(error))


def _written(values: list[str]) -> str:
    return values[0] if len(values) == 1 else f"[{','.join(values)}]"
