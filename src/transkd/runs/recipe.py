"""What two runs must have in common for their scores to stand in one table, and what makes them different methods."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from transkd.errors import TransKDError
from transkd.evaluation.protocol import protocol_facts
from transkd.models.backbones import find_backbone
from transkd.runs.results import START, Files, Run

CLASSES = "classes"
METHOD = "distillation"
CALLED = ("name", "output", "resume")
ARCHITECTURE = ("student.backbone", "student.head", "student.head_width")
NOT_THE_RECIPE = (
    "name",
    "output",
    "seed",
    "resume",
    "imports",
    "logger",
    "pictures",
    "compile",
    "channels_last",
    "distillation",
    "teacher",
    *ARCHITECTURE,
    "data.root",
    "data.workers",
    "data.val_batch_size",
    "checkpoint.every_n_steps",
    "trainer.accelerator",
    "trainer.strategy",
    "trainer.benchmark",
    "trainer.default_root_dir",
    "trainer.deterministic",
    "trainer.detect_anomaly",
    "trainer.enable_model_summary",
    "trainer.enable_progress_bar",
    "trainer.log_every_n_steps",
    "trainer.num_sanity_val_steps",
    "trainer.profiler",
)
"""Keys that name a run, choose the method, or only say where and how conveniently it runs."""


MAY_LACK = ("training.steps", "data.content", *(f"data.train.{key}" for key in ("count", "sha256", "content")), START)
"""What older runs did not record."""


def score_facts(run: Run) -> dict[str, Any]:
    """Return how a score was made and on which files: where these differ, scores do not compare."""
    facts = {f"protocol.{key}": value for key, value in protocol_facts(run.results.protocol).items()}
    return facts | _files("data", run.results.data) | {CLASSES: sorted(run.results.per_class)}


def recipe_facts(run: Run) -> dict[str, Any]:
    """Return how a run was trained, but for method, seed and network: budget, batches, optimiser, augmentation.

    A start from the teacher's weights is something a teacher gives, so part of the method; any other start is recipe.
    Runs that end by wall-clock (``trainer.max_time``) take as many steps as they can: their budget is the time.
    """
    config = run.flat_config
    facts = {key: value for key, value in config.items() if is_set(value) and not _within(key, NOT_THE_RECIPE)}
    if run.results.data.train is not None:
        facts |= _files("data.train", run.results.data.train)
    if run.starts_from_teacher:
        del facts[START]
    if config.get("trainer.max_time") is None and run.results.training.steps is not None:
        facts["training.steps"] = run.results.training.steps
    return facts


def _files(name: str, files: Files) -> dict[str, Any]:
    facts = {"count": files.count, "sha256": files.sha256, "content": files.content}
    return {f"{name}.{key}": value for key, value in facts.items() if value is not None}


def comparison_facts(run: Run) -> dict[str, Any]:
    """Return all that the runs of one table share."""
    return score_facts(run) | recipe_facts(run)


def differing_keys(facts: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    """List the keys that two runs differ in; what one of them did not record is no difference."""
    keys = sorted(facts.keys() | others.keys())
    return [key for key in keys if facts.get(key) != others.get(key) and not _unrecorded(key, facts, others)]


def architecture(run: Run) -> tuple[str, str | None, int | None]:
    """Return backbone, head and the head's width of what was trained; the usual head where none is named."""
    backbone, head, width = (run.flat_config.get(key) for key in ARCHITECTURE)
    return str(backbone), head or _usual_head(str(backbone)), width


def method_options(run: Run) -> dict[str, Any]:
    """Return name and losses of a run's distillation, flat: ``{"name": "kd", "losses.kd.weight": 1.0}``.

    A start from the teacher's weights is among them.
    """
    prefix = "distillation."
    options = {key.removeprefix(prefix): value for key, value in run.flat_config.items() if key.startswith(prefix)}
    start = {START: run.flat_config[START]} if run.starts_from_teacher else {}
    return start | {key: value for key, value in options.items() if is_set(value) or value is False}


def differing_settings(runs: Sequence[Run]) -> list[str]:
    """List the keys of the config in which runs differ, but for what they are called and where they lie.

    The method is one of them, ``distillation``, whatever of it differs.
    """
    configs = [run.flat_config for run in runs]
    keys = dict.fromkeys(key for config in configs for key in config if key not in CALLED)
    differ = [key for key in keys if len({frozen(config.get(key)) for config in configs}) > 1]
    return list(dict.fromkeys(METHOD if _within(key, (METHOD,)) else key for key in differ))


def is_set(value: object) -> bool:
    """Return whether a value says something: null, false and nothing are as good as a key that an older run lacks."""
    return value is not None and value is not False and value not in ({}, [])


def frozen(facts: object) -> str:
    """Return facts as one text that is equal where they are, of 1 and 1.0 too."""
    return json.dumps(_numbers_as_one_kind(facts), sort_keys=True, default=str)


def shown(value: object) -> str:
    """Return a config's value as one writes it."""
    if isinstance(value, str):
        return value
    return json.dumps(value, default=str)


def _numbers_as_one_kind(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _numbers_as_one_kind(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_numbers_as_one_kind(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _unrecorded(key: str, facts: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    return key in MAY_LACK and (key not in facts or key not in others)


def _usual_head(backbone: str) -> str | None:
    try:
        return find_backbone(backbone).head
    except TransKDError:
        return None


def _within(key: str, sections: tuple[str, ...]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in sections)
