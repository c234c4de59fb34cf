"""What a report reads of ``results.json``, each value of the type and in the range that training writes."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

MOST = 1e15
"""More than any training took of anything, and little enough to add up."""

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=MOST)]
Side = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A part of ``results.json``; keys that a report does not show are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Files(Section):
    """Which files a split has; older runs say nothing of their sizes."""

    count: Count
    sha256: str
    content: str | None = None


class Fingerprint(Files):
    """Which files were scored, and trained on; older runs do not say the latter."""

    train: Files | None = None


class Training(Section):
    """How the training went; older runs say less."""

    steps: Count | None = None
    epochs: Count | None = None
    stopped_by: str | None = None
    images: Count | None = None
    seconds: Amount | None = None
    images_per_second: Amount | None = None
    peak_memory_mb: Amount | None = None
    precision: str | None = None


class LossCost(Section):
    """What the distillation losses cost while they taught."""

    adapter_parameters: Count | None = None
    adapter_gmacs: Amount | None = None
    teacher_share: Amount | None = None
    losses_share: Amount | None = None


def _as_training_writes_it(protocol: dict[str, Any]) -> dict[str, Any]:
    """Return a protocol if it can be compared and written down again, else raise a ValueError."""
    if not isinstance(protocol.get("options") or {}, dict):
        raise ValueError("options should be a section")
    try:
        json.dumps(protocol, allow_nan=False)
    except ValueError:
        raise ValueError("a number in it is not finite") from None
    return protocol


class Results(Section):
    """What ``results.json`` holds."""

    miou: Share | None
    pixel_accuracy: Share | None
    per_class: dict[str, Share | None]
    protocol: Annotated[dict[str, Any], AfterValidator(_as_training_writes_it)]
    params: Count
    gmacs: Amount | None
    latency_ms: Amount | None = None
    image_size: tuple[Side, Side] | None = None
    backbone: str
    distillation: str
    seed: int
    data: Fingerprint
    device: str | None = None
    command: str | None = None
    versions: dict[str, str] = {}
    training: Training = Training()
    checkpoint: dict[str, Any] = {}
    distillation_cost: LossCost | None = None


CONFIG, RESULTS, METRICS, CHECKPOINTS = MARKS = ("config.yaml", "results.json", "metrics.csv", "checkpoints")
SECTIONS = ("data", "student", "distillation", "trainer")
PLAIN = "none"
START = "student.weights"


class UnusableRunError(Exception):
    """A folder that has no place in a report: unfinished, foreign or damaged, and why."""


@dataclass(frozen=True)
class Run:
    """One finished run.

    Attributes:
        folder: where it lies, as it was found.
        config: what it was started with.
        results: what it reached.
        curve: (optimiser steps, validation mIoU) of each validation; empty where ``metrics.csv`` is of no use.
    """

    folder: Path
    config: Mapping[str, Any]
    results: Results
    curve: tuple[tuple[int, float], ...]

    @property
    def name(self) -> str:
        """The run's own name."""
        return str(self.config.get("name") or self.folder.name)

    @property
    def seed(self) -> int:
        """The seed of everything random in it."""
        return self.results.seed

    @property
    def miou(self) -> float:
        """Mean IoU, a share."""
        assert self.results.miou is not None
        return self.results.miou

    @property
    def is_plain(self) -> bool:
        """Whether it owes nothing to a teacher: labels only, and a start of its own."""
        return self.has_labels_only and not self.starts_from_teacher

    @property
    def has_labels_only(self) -> bool:
        """Whether it trained without distillation, whatever it started from."""
        return self.results.distillation == PLAIN and not self.losses

    @property
    def starts_from_teacher(self) -> bool:
        """Whether it began with weights selected from its teacher's, by ``student.weights=teacher``."""
        return self.flat_config.get(START) == "teacher"

    @property
    def losses(self) -> tuple[str, ...]:
        """The distillation losses of its config, in its order."""
        losses = self.config["distillation"].get("losses")
        return tuple(map(str, losses)) if isinstance(losses, Mapping) else ()

    @property
    def teacher_weights(self) -> str | None:
        """What its config names as the teacher's weights; None for a run without a teacher."""
        weights = self.flat_config.get("teacher.weights")
        return None if self.is_plain or weights is None else str(weights)

    @cached_property
    def flat_config(self) -> dict[str, Any]:
        """The config with dotted keys."""
        return flat(self.config)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one with dotted keys; an empty mapping stays a value."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def read_run(folder: Path) -> Run:
    """Read a run's folder.

    Raises:
        UnusableRunError: it is unfinished, foreign or damaged; says why.
    """
    config = _read_config(folder / CONFIG)
    results = _read_results(folder / RESULTS)
    if results.miou is None:
        raise UnusableRunError("no score: nothing was validated")
    for key, mine in (("seed", results.seed), ("distillation.name", results.distillation)):
        if flat(config).get(key) != mine:
            raise UnusableRunError(f"damaged: {CONFIG} and {RESULTS} are of different runs, by their {key}")
    return Run(folder, config, results, _read_curve(folder / METRICS, results.training.steps))


def _read_config(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnusableRunError(f"foreign or damaged: it has no {CONFIG}") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: a date that does not exist
        raise UnusableRunError(f"damaged: {CONFIG} cannot be read ({_first_line(error)})") from error
    if not isinstance(values, dict) or not all(isinstance(values.get(name), dict) for name in SECTIONS):
        raise UnusableRunError(f"foreign: its {CONFIG} is not of a training run of transkd")
    try:
        flat(values)
    except RecursionError as error:  # YAML may refer to itself
        raise UnusableRunError(f"damaged: {CONFIG} holds itself") from error
    return values


def _read_results(path: Path) -> Results:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnusableRunError(f"unfinished: it has no {RESULTS}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UnusableRunError(f"damaged: {RESULTS} cannot be read ({_first_line(error)})") from error
    try:
        return Results.model_validate(values)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in wrong["loc"]) or RESULTS
        raise UnusableRunError(
            f"damaged: {RESULTS} at {place}: {wrong['msg'].removeprefix('Value error, ').lower()}"
        ) from error


def _first_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0]


def _read_curve(path: Path, steps: int | None) -> tuple[tuple[int, float], ...]:
    """Return the validations during training; what was logged after the last step is the final scoring."""
    points: dict[int, float] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row.get("val/miou"):
                    points[int(row["step"]) + 1] = float(row["val/miou"])
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, csv.Error):
        return ()
    kept = {step: miou for step, miou in points.items() if math.isfinite(miou) and (steps is None or step <= steps)}
    return tuple(sorted(kept.items()))
