"""Runs that compare, in groups; what does not compare is told by key, value and run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transkd.errors import ConfigError
from transkd.reporting.recipes import comparison_facts, differing_keys, frozen, shown
from transkd.reporting.runs import Run

LONGEST = 16


@dataclass(frozen=True)
class Group:
    """Runs of one protocol, data and recipe.

    Attributes:
        title: the values that no other group has, ``"trainer.max_epochs=25"``; empty for an only group.
        runs: what compares.
    """

    title: str
    runs: tuple[Run, ...]


def comparable_groups(runs: Sequence[Run], *, split: bool) -> tuple[Group, ...]:
    """Sort runs into groups that compare.

    Args:
        runs: students.
        split: whether there may be several groups.

    Raises:
        ConfigError: there are several, and ``split`` is false: lists the keys that differ, the values, and the runs.
    """
    groups: list[tuple[dict[str, Any], list[Run]]] = []
    for run in runs:
        facts = comparison_facts(run)
        for known, members in groups:
            if not differing_keys(known, facts):
                members.append(run)
                known.update(facts)
                break
        else:
            groups.append((facts, [run]))
    if len(groups) == 1:
        return (Group("", tuple(runs)),)
    keys = _differing([facts for facts, _ in groups])
    if not split:
        raise ConfigError(_refusal(groups, keys))
    return tuple(Group(_title(facts, keys), tuple(members)) for facts, members in groups)


def _differing(all_facts: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted({key for facts in all_facts[1:] for key in differing_keys(all_facts[0], facts)})


def _title(facts: Mapping[str, Any], keys: Sequence[str]) -> str:
    return ", ".join(f"{key}={_short(facts.get(key))}" for key in keys)


def _short(value: object) -> str:
    text = shown(value)
    is_digest = isinstance(value, str) and len(value) == 64
    return text[:LONGEST] if is_digest else text


def _refusal(groups: Sequence[tuple[Mapping[str, Any], Sequence[Run]]], keys: Sequence[str]) -> str:
    lines = []
    for key in keys:
        runs_of: dict[str, list[Run]] = defaultdict(list)
        texts: dict[str, str] = {}
        for facts, runs in groups:
            value = frozen(facts.get(key))
            texts[value] = _short(facts.get(key))
            runs_of[value] += runs
        values = [f"{texts[value]} in {_some(runs)}" for value, runs in runs_of.items()]
        lines.append(f"  {key}: {'; '.join(values)}")
    key, value = keys[0], shown(groups[0][0].get(keys[0]))
    condition = (
        f"only={key}:{value}" if value.replace(".", "").replace("_", "").isalnum() else f"'only=\"{key}:{value}\"'"
    )
    return "\n".join(
        [
            "these runs do not compare in one table, since they were not made in one way:",
            *lines,
            f"choose those that do, such as by {condition}; leave runs out by exclude=KEY:VALUE (folder:PATH is one); "
            f"or make a table of each of the {len(groups)} ways by tables=split",
        ]
    )


def _some(runs: Sequence[Run]) -> str:
    first = f"{runs[0].folder}"
    return first if len(runs) == 1 else f"{first} and {len(runs) - 1} more"
