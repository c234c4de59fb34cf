"""Which scores compare: those of one protocol, on the same images and classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transkd.errors import ConfigError
from transkd.evaluation.protocol import protocol_facts

CLASSES = "classes"
PROTOCOL = "protocol."
SHOWN = 4


def score_facts(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a score was made: its protocol, the files that were scored, and their classes.

    Args:
        results: what a ``results.json`` or ``scores.json`` holds.

    Returns:
        ``protocol.…``, ``data.count``, ``data.sha256``, ``data.content`` and ``classes``; without what is not recorded.
    """
    facts = {f"{PROTOCOL}{key}": value for key, value in protocol_facts(results["protocol"]).items()}
    files = {f"data.{key}": results["data"].get(key) for key in ("count", "sha256", "content")}
    facts |= {key: value for key, value in files.items() if value is not None}
    return facts | {CLASSES: sorted(results.get("per_class", ()))}


def result_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """List why the scores of two results do not compare: their protocols, the files and the classes that were scored.

    The same files have other classes where a folder's ``classes.yaml`` was edited between the two.

    Args:
        one: what a ``results.json`` or ``scores.json`` holds.
        other: the same of another model.

    Returns:
        A line a difference, with both values; empty where the scores compare.
    """
    mine, theirs = score_facts(one), score_facts(other)
    differ = [key for key in dict.fromkeys((*mine, *theirs)) if mine.get(key) != theirs.get(key)]
    lines = [
        f"{key.removeprefix(PROTOCOL)}: {mine.get(key)} and {theirs.get(key)}"
        for key in differ
        if key != CLASSES and not (key == "data.content" and None in (mine.get(key), theirs.get(key)))
    ]
    names = sorted(set(mine[CLASSES]) ^ set(theirs[CLASSES]))
    if names and mine[CLASSES] and theirs[CLASSES]:  # a run that was never scored has none
        listed = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        lines.append(f"classes: {len(mine[CLASSES])} and {len(theirs[CLASSES])}, of which not both have {listed}")
    return lines


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
