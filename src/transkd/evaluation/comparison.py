"""What identifies a result, its protocol, data, classes and model, and which scores compare."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from transkd.errors import ConfigError, first_few
from transkd.evaluation.protocol import Protocol

CLASSES = "classes"
PROTOCOL, OPTIONS = "protocol.", "options"
TITLE, SORTED_BY = "name", "group"
SHOWN = 4
NO_MATTER = ("drop_path_rate", "dropout", "palette")
"""What of a config predictions do not depend on: what only training uses, and colours."""


def module_digest(module: nn.Module) -> str:
    """Return the SHA-256 of a module: two that predict differently have different ones, wherever they were read from.

    It takes in the names, types, shapes and bytes of all parameters and buffers, those that are not saved among the
    weights too (a segmenter's mean and standard deviation), and the ``config`` of a module that has one (the
    classes' names in order, the epsilon of its norms), less what only training and pictures use.
    """
    digest = hashlib.sha256()
    tensors = {**module.state_dict(), **dict(module.named_buffers())}
    for name, tensor in sorted(tensors.items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.flatten().view(torch.uint8).numpy().tobytes())
    config = getattr(module, "config", None)
    if isinstance(config, Mapping):
        kept: dict[str, Any] = {key: value for key, value in config.items() if key not in NO_MATTER}
        digest.update(json.dumps(kept, sort_keys=True).encode())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def protocol_facts(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two protocols are compared by, a value a key: all but their name, with defaults filled in.

    Each option of the dataset is a key of its own (``options.conditions``), but for ``group``, by which scores are only
    sorted.

    Args:
        protocol: what ``results.json`` or ``scores.json`` has under ``protocol``.
    """
    facts = {**Protocol("", "", "native", "label").as_dict(), **protocol}
    options = facts.pop(OPTIONS) or {}
    return {key: value for key, value in facts.items() if key != TITLE} | {
        f"{OPTIONS}.{key}": value for key, value in options.items() if key != SORTED_BY
    }


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


def protocol_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """List the keys in which two results' protocols differ, with both values; empty where their scores compare.

    What a protocol is called (``name``) is no part of it, nor are the groups that scores are sorted by.

    Args:
        one: what ``results.json`` or ``scores.json`` has under ``protocol``.
        other: the same of another result.
    """
    return differences(protocol_facts(one), protocol_facts(other))


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """List the keys in which two mappings differ, with both values."""
    keys = [key for key in dict.fromkeys((*one, *other)) if one.get(key) != other.get(key)]
    return [f"{key.removeprefix(PROTOCOL)}: {one.get(key)} and {other.get(key)}" for key in keys]


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
    our_classes, their_classes = set(mine.pop(CLASSES)), set(theirs.pop(CLASSES))
    if not {"data.content"} <= mine.keys() & theirs.keys():  # older results did not record it
        mine.pop("data.content", None)
        theirs.pop("data.content", None)
    lines = differences(mine, theirs)
    names = sorted(our_classes ^ their_classes)
    if names and our_classes and their_classes:  # a run that was never scored has none
        counts = f"{len(our_classes)} and {len(their_classes)}"
        lines.append(f"classes: {counts}, of which not both have {first_few(names, SHOWN)}")
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
        f"  {names[0]} and {name}: {'; '.join(found)}"
        for name in names[1:]
        if (found := result_differences(results[names[0]], results[name]))
    ]
    if lines:
        head = "these scores do not compare, since they were made in different ways:"
        raise ConfigError("\n".join([head, *lines, "score all models by one protocol on the same files and classes"]))
