"""Which runs a report is about: those that are requested, in groups whose scores compare."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import yaml

from transkd.errors import ConfigError, did_you_mean
from transkd.evaluation.comparison import CLASSES
from transkd.runs.finished import Run, comparison_facts, score_facts
from transkd.runs.recipe import differing_keys, frozen, shown

DIGEST_SHOWN, CLASSES_SHOWN = 16, 5


class Condition(NamedTuple):
    """A key and the value, or the pattern with ``*`` and ``?``, that it must have."""

    key: str
    value: str

    def holds(self, run: Run) -> bool:
        """Return whether it holds for a run; a key that the run does not have is null."""
        value = selectable(run).get(self.key)
        return value == _parsed(self.value) or fnmatchcase(shown(value), self.value)


def parse_condition(text: str) -> Condition:
    """Return the condition that ``KEY:VALUE`` means.

    Raises:
        ConfigError: it is not of that form.
    """
    key, colon, value = text.partition(":")
    if not (key and colon and value):
        raise ConfigError(f"'{text}' is not of the form KEY:VALUE, such as trainer.max_epochs:40 or seed:0")
    return Condition(key, value.strip())


def _parsed(text: str) -> object:
    """Return a value as YAML has it, and numbers as people write them, such as 1e-3."""
    try:
        value = yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):  # ValueError: a date that does not exist
        return text
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def selectable(run: Run) -> dict[str, Any]:
    """Return what a run can be selected by: its config, ``protocol.…``, ``data.…``, ``training.…`` and ``folder``."""
    training = {f"training.{key}": value for key, value in run.results.training.model_dump().items()}
    return {**run.flat_config, **score_facts(run), **training, "folder": run.folder.as_posix()}


def select_runs(runs: Sequence[Run], only: Sequence[str], exclude: Sequence[str]) -> tuple[Run, ...]:
    """Return the runs for which conditions of ``only`` hold, of several for one key one, and none of ``exclude``.

    Raises:
        ConfigError: a condition on a key that no run has, or nothing is left.
    """
    required: dict[str, list[Condition]] = defaultdict(list)
    for text in only:
        condition = parse_condition(text)
        required[condition.key].append(condition)
    excluded = [parse_condition(text) for text in exclude]
    known = {key for run in runs for key in selectable(run)}
    for key in (*required, *(condition.key for condition in excluded)):
        if key not in known:
            raise ConfigError(f"no run has a key '{key}'; {did_you_mean(key, known)}")
    kept = tuple(
        run
        for run in runs
        if all(any(one.holds(run) for one in conditions) for conditions in required.values())
        and not any(one.holds(run) for one in excluded)
    )
    if not kept:
        given = " ".join((*(f"only={text}" for text in only), *(f"exclude={text}" for text in exclude)))
        values = {key: dict.fromkeys(shown(selectable(run).get(key)) for run in runs) for key in required}
        there = "; ".join(f"{key} is {', '.join(texts)}" for key, texts in values.items()) or "exclude fewer"
        raise ConfigError(f"{given}: none of the {len(runs)} runs is left; {there}")
    return kept


def _first(texts: Sequence[str], count: int) -> str:
    return ", ".join(texts[:count]) + (f" and {len(texts) - count} more" if len(texts) > count else "")


def comparable_groups(runs: Sequence[Run], *, split: bool) -> list[tuple[str, list[Run]]]:
    """Sort students' runs into groups that compare, of which there may be several where ``split`` is true.

    Returns:
        For each group its title and runs. The title has the values that not all groups have,
        ``"trainer.max_epochs=25"``; it is empty for an only group.

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
        return [("", list(runs))]
    first = groups[0][0]
    keys = sorted({key for facts, _ in groups[1:] for key in differing_keys(first, facts)})
    common = set.intersection(*(set(facts[CLASSES]) for facts, _ in groups))
    if split:
        return [(", ".join(f"{key}={_short(key, facts, common)}" for key in keys), of) for facts, of in groups]
    lines = ["these runs do not compare in one table, since they were not made in one way:"]
    for key in keys:
        runs_of: dict[str, list[Run]] = defaultdict(list)
        texts: dict[str, str] = {}
        for facts, members in groups:
            value = frozen(facts.get(key))
            texts[value] = _short(key, facts, common)
            runs_of[value] += members
        values = [f"{texts[value]} in {_first([str(run.folder) for run in of], 1)}" for value, of in runs_of.items()]
        lines.append(f"  {key}: {'; '.join(values)}")
    lines.append(
        "choose those that do by only=KEY:VALUE or exclude=KEY:VALUE (folder:PATH is one), or make a table of each of "
        f"the {len(groups)} ways by tables=split"
    )
    raise ConfigError("\n".join(lines))


def _short(key: str, facts: Mapping[str, Any], common: set[str]) -> str:
    """Return a value as messages have room for it: the start of a digest, and only the classes that not all have."""
    if key == CLASSES:
        others = _first([name for name in facts[CLASSES] if name not in common], CLASSES_SHOWN) or "none"
        return f"{others} beside {len(common)} that all have" if common else others
    value = facts.get(key)
    return shown(value)[:DIGEST_SHOWN] if isinstance(value, str) and len(value) == 64 else shown(value)
