"""Configs of runs compared: one way to flatten them, one to list differences, one table of the keys that matter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Flag, auto
from typing import Any

from transkd.errors import TransKDError
from transkd.models.backbones import find_backbone


class Comparison(Flag):
    """A question that two configs are compared for."""

    RESUME = auto()
    """Can this run resume from that checkpoint?"""
    FINISHED = auto()
    """Is that finished run the one that this config describes?"""
    REPORT = auto()
    """Were these runs trained by one recipe, whatever their method, network and seed?"""


START = "student.weights"
ARCHITECTURE = ("student.backbone", "student.head", "student.head_width")

NEVER = Comparison(0)
_RESUME, _FINISHED, _REPORT = Comparison
_ENVIRONMENT = (
    *("accelerator", "strategy", "benchmark", "default_root_dir", "deterministic", "detect_anomaly", "profiler"),
    *("enable_model_summary", "enable_progress_bar", "log_every_n_steps", "num_sanity_val_steps"),
)
MATTERS_FOR: Mapping[str, Comparison] = {
    **dict.fromkeys(("name", "output", "resume", "imports", "logger", "pictures", "checkpoint"), NEVER),
    **dict.fromkeys(("data.root", "data.workers", "data.val_batch_size"), NEVER),
    **dict.fromkeys(("callbacks", "checkpoint.select", "trainer"), _FINISHED | _REPORT),
    **dict.fromkeys((f"trainer.{key}" for key in _ENVIRONMENT), _FINISHED),
    **dict.fromkeys(("teacher.weights", "teacher.pretrained"), _FINISHED),
    **dict.fromkeys(("seed", "compile", "channels_last"), _RESUME | _FINISHED),
    **dict.fromkeys(("distillation", "teacher", *ARCHITECTURE), _RESUME | _FINISHED),
}
"""What a section or key matters for, the longest name that fits; all that is not listed matters for everything."""

UNRECORDED = ("training.steps", "data.content", *(f"data.train.{key}" for key in ("count", "sha256", "content")), START)
"""Facts that older runs did not record: where one of two runs lacks one, that is no difference."""

ADDED = {"student.pretrained": False, "teacher.pretrained": False}
"""Keys that configs of older runs lack, and what those runs did."""


def matters(key: str, comparison: Comparison) -> bool:
    """Return whether a difference in a key of the config, such as ``trainer.max_epochs``, matters for a comparison."""
    while key:
        if key in MATTERS_FOR:
            return comparison in MATTERS_FOR[key]
        key = key.rpartition(".")[0]
    return True


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one with dotted keys; an empty mapping leaves nothing."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def differing_keys(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """List the keys in which two flat mappings differ, sorted; what one of them did not record is no difference."""
    return [
        key
        for key in sorted(one.keys() | other.keys())
        if one.get(key) != other.get(key) and not (key in UNRECORDED and (key not in one or key not in other))
    ]


def config_differences(saved: Mapping[str, Any], values: Mapping[str, Any], comparison: Comparison) -> list[str]:
    """List the keys that differ and matter, each with both values; none where no config was saved."""
    if not saved:
        return []
    before, now = _complete(saved), _complete(values)
    return [
        f"{key}: it was {before.get(key)}, it is {now.get(key)}"
        for key in differing_keys(before, now)
        if matters(key, comparison)
    ]


def _complete(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config flat, with what it means where it does not say."""
    recipe = ADDED | flat(values)
    for role in ("student", "teacher"):
        backbone = recipe.get(f"{role}.backbone")
        if backbone is not None and recipe.get(f"{role}.head") is None:
            recipe[f"{role}.head"] = usual_head(backbone)
    return recipe


def usual_head(backbone: str) -> str | None:
    """Return the head that a backbone gets where a config names none; None for an unknown backbone."""
    try:
        return find_backbone(backbone).head
    except TransKDError:
        return None


def is_set(value: object) -> bool:
    """Return whether a value says something: null, false and nothing are as good as a key that an older run lacks."""
    return value is not None and value is not False and value not in ({}, [])


def frozen(facts: object) -> str:
    """Return facts as one text that is equal where they are, of 1 and 1.0 too."""
    return json.dumps(json.loads(json.dumps(facts, default=str), parse_int=float), sort_keys=True)


def shown(value: object) -> str:
    """Return a config's value as one writes it."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
