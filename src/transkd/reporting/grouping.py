"""Runs that compare, in groups; what does not compare is told by key, value and run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transkd.errors import ConfigError
from transkd.evaluation.comparison import CLASSES
from transkd.runs.finished import Run, comparison_facts
from transkd.runs.recipe import differing_keys, frozen, shown

LONGEST = 16
MOST_CLASSES = 5


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
    return tuple(Group(_title(facts, keys, [one for one, _ in groups]), tuple(members)) for facts, members in groups)


def _differing(all_facts: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted({key for facts in all_facts[1:] for key in differing_keys(all_facts[0], facts)})


def _title(facts: Mapping[str, Any], keys: Sequence[str], all_facts: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{key}={_short(key, facts, all_facts)}" for key in keys)


def _short(key: str, facts: Mapping[str, Any], all_facts: Sequence[Mapping[str, Any]]) -> str:
    """Return a value as messages have room for it: a digest's beginning, and only the classes that not all have."""
    value = facts.get(key)
    if key == CLASSES:
        common = set.intersection(*(set(one[CLASSES]) for one in all_facts))
        own = [name for name in facts[CLASSES] if name not in common]
        more = f" and {len(own) - MOST_CLASSES} more" if len(own) > MOST_CLASSES else ""
        beside = f" beside {len(common)} that all have" if common else ""
        return f"{', '.join(own[:MOST_CLASSES]) or 'none'}{more}{beside}"
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
            texts[value] = _short(key, facts, [one for one, _ in groups])
            runs_of[value] += runs
        values = [f"{texts[value]} in {_some(runs)}" for value, runs in runs_of.items()]
        lines.append(f"  {key}: {'; '.join(values)}")
    return "\n".join(
        [
            "these runs do not compare in one table, since they were not made in one way:",
            *lines,
            f"{_choice(groups, keys)}leave runs out by exclude=KEY:VALUE (folder:PATH is one); "
            f"or make a table of each of the {len(groups)} ways by tables=split",
        ]
    )


def _choice(groups: Sequence[tuple[Mapping[str, Any], Sequence[Run]]], keys: Sequence[str]) -> str:
    """Return how to choose runs by the first key whose value one can write."""
    key = next((key for key in keys if key != CLASSES), None)
    if key is None:
        return ""
    value = shown(groups[0][0].get(key))
    plain = value.replace(".", "").replace("_", "").isalnum()
    condition = f"only={key}:{value}" if plain else f"'only=\"{key}:{value}\"'"
    return f"choose those that do, such as by {condition}; "


def _some(runs: Sequence[Run]) -> str:
    first = f"{runs[0].folder}"
    return first if len(runs) == 1 else f"{first} and {len(runs) - 1} more"
