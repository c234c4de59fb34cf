"""Which results may be compared: those of one protocol on the same images and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transkd.errors import ConfigError
from transkd.evaluation.protocol import protocol_differences

RECORDED_LATER = "content"
FINGERPRINT = ("count", "sha256", RECORDED_LATER)
"""What tells files apart; older results lack the last."""
SHOWN = 4


def result_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """List why the scores of two results do not compare: their protocols, the files and the classes that were scored.

    The same files have other classes where a folder's ``classes.yaml`` was edited between the two.

    Args:
        one: what a ``results.json`` or ``scores.json`` holds.
        other: the same of another model.

    Returns:
        A line a difference, with both values; empty where the scores compare.
    """
    found = protocol_differences(one["protocol"], other["protocol"])
    for key in FINGERPRINT:
        mine, theirs = one["data"].get(key), other["data"].get(key)
        if mine != theirs and (key != RECORDED_LATER or None not in (mine, theirs)):
            found.append(f"data.{key}: {mine} and {theirs}")
    return found + _class_differences(list(one.get("per_class", ())), list(other.get("per_class", ())))


def _class_differences(mine: Sequence[str], theirs: Sequence[str]) -> list[str]:
    names = sorted(set(mine) ^ set(theirs))
    if not (mine and theirs and names):  # a run that was never scored has none
        return []
    listed = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return [f"classes: {len(mine)} and {len(theirs)}, of which not both have {listed}"]


def require_comparable(results: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse results whose scores do not compare.

    Args:
        results: what each is called -> what its ``results.json`` or ``scores.json`` holds.

    Raises:
        ConfigError: some differ from the first in protocol, data or classes; names them, and what differs.
    """
    names = list(results)
    lines = [
        f"  {names[0]} and {name}: {'; '.join(differences)}"
        for name in names[1:]
        if (differences := result_differences(results[names[0]], results[name]))
    ]
    if lines:
        head = "these scores do not compare, since they were made in different ways:"
        raise ConfigError("\n".join([head, *lines, "score all models by one protocol on the same files and classes"]))
