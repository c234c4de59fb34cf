"""A finished run as reports read it: config, results and learning curve, and the facts that runs are compared by."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from transkd.errors import first_line
from transkd.evaluation import comparison
from transkd.runs.folder import CONFIG, METRICS, RESULTS, SECTIONS, RunFolder
from transkd.runs.recipe import ARCHITECTURE, START, Comparison, flat, is_set, matters, usual_head
from transkd.runs.results import Results, UnusableRunError, read_results

PLAIN = "none"
METHOD = "distillation"


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


def read_run(folder: Path) -> Run:
    """Read a run's folder.

    Raises:
        UnusableRunError: it is unfinished, foreign or damaged; says why.
    """
    try:
        config = RunFolder(folder).saved_config()
    except (OSError, ValueError) as error:
        raise UnusableRunError(f"damaged: {CONFIG} cannot be read ({first_line(error)})") from error
    if not config and not (folder / CONFIG).is_file():
        raise UnusableRunError(f"foreign or damaged: it has no {CONFIG}")
    if not all(isinstance(config.get(name), dict) for name in SECTIONS):
        raise UnusableRunError(f"foreign: its {CONFIG} is not of a training run of transkd")
    results = read_results(folder)
    if results.miou is None:
        raise UnusableRunError("no score: nothing was validated")
    for key, value in (("seed", results.seed), ("distillation.name", results.distillation)):
        if flat(config).get(key) != value:
            raise UnusableRunError(f"damaged: {CONFIG} and {RESULTS} are of different runs, by their {key}")
    return Run(folder, config, results, _read_curve(folder / METRICS, results.training.steps))


def _read_curve(path: Path, steps: int | None) -> tuple[tuple[int, float], ...]:
    """Return the validations during training; what was logged after the last step is the final scoring."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row.get("val/miou")]
        points = {int(row["step"]) + 1: float(row["val/miou"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return ()
    last = math.inf if steps is None else steps
    return tuple((step, miou) for step, miou in sorted(points.items()) if math.isfinite(miou) and step <= last)


def score_facts(run: Run) -> dict[str, Any]:
    """Return how a score was made and on which files: where these differ, scores do not compare."""
    return comparison.score_facts(run.results.as_dict())


def recipe_facts(run: Run) -> dict[str, Any]:
    """Return how a run was trained, but for method, seed and network: budget, batches, optimiser, augmentation.

    A start from the teacher's weights is something a teacher gives, so part of the method; any other start is recipe.
    Runs that end by wall-clock (``trainer.max_time``) take as many steps as they can: their budget is the time.
    """
    config = run.flat_config
    facts = {key: value for key, value in config.items() if is_set(value) and matters(key, Comparison.REPORT)}
    if run.results.data.train is not None:
        files = run.results.data.train.model_dump(exclude_none=True)
        facts |= {f"data.train.{key}": value for key, value in files.items()}
    if run.starts_from_teacher:
        del facts[START]
    if config.get("trainer.max_time") is None and run.results.training.steps is not None:
        facts["training.steps"] = run.results.training.steps
    return facts


def comparison_facts(run: Run) -> dict[str, Any]:
    """Return all that the runs of one table share."""
    return score_facts(run) | recipe_facts(run)


def architecture(run: Run) -> tuple[str, str | None, int | None]:
    """Return backbone, head (the usual one where none is named) and the head's width of what was trained."""
    backbone, head, width = (run.flat_config.get(key) for key in ARCHITECTURE)
    return str(backbone), head or usual_head(str(backbone)), width


def method_options(run: Run) -> dict[str, Any]:
    """Return name and losses of a run's distillation, flat: ``{"name": "kd", "losses.kd.weight": 1.0}``.

    A start from the teacher's weights is among them.
    """
    prefix = f"{METHOD}."
    options = {key.removeprefix(prefix): value for key, value in run.flat_config.items() if key.startswith(prefix)}
    start = {START: run.flat_config[START]} if run.starts_from_teacher else {}
    return start | {key: value for key, value in options.items() if is_set(value) or value is False}
