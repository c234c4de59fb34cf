"""Which runs a report is about: those that are requested, in groups whose scores compare."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import yaml

from transkd.errors import ConfigError, did_you_mean
from transkd.evaluation.comparison import CLASSES
from transkd.runs.finished import Run, comparison_facts, score_facts
from transkd.runs.recipe import differing_keys, shown

DIGEST_SHOWN, CLASSES_SHOWN = 16, 5


def parse_condition(text: str) -> tuple[str, str]:
    """Return key and value of a condition ``KEY:VALUE``.

    Raises:
        ConfigError: it is not of that form.
    """
    key, colon, value = text.partition(":")
    if not (key and colon and value):
        raise ConfigError(f"'{text}' is not of the form KEY:VALUE, such as trainer.max_epochs:40 or seed:0")
    return key, value.strip()


def matches(value: object, text: str) -> bool:
    """Return whether a text is a value in YAML (or a number such as 1e-3), or a pattern of it with ``*`` and ``?``."""
    try:
        meant = yaml.safe_load(text)
        meant = float(meant) if isinstance(meant, str) else meant
    except (ValueError, yaml.YAMLError):  # a word, or a date that does not exist
        meant = text
    return value == meant or fnmatchcase(shown(value), text)


def selectable(run: Run) -> dict[str, Any]:
    """Return what a run can be selected by: its config, ``protocol.…``, ``data.…``, ``training.…`` and ``folder``."""
    training = {f"training.{key}": value for key, value in run.results.training.model_dump().items()}
    return {**run.flat_config, **score_facts(run), **training, "folder": run.folder.as_posix()}


def select_runs(runs: Sequence[Run], only: Sequence[str], exclude: Sequence[str]) -> tuple[Run, ...]:
    """Return the runs for which conditions of ``only`` hold, of several for one key one, and none of ``exclude``.

    Raises:
        ConfigError: a condition on a key that no run has, or nothing is left.
    """
    required: dict[str, list[str]] = defaultdict(list)
    for key, value in map(parse_condition, only):
        required[key].append(value)
    excluded = [parse_condition(text) for text in exclude]
    values = [selectable(run) for run in runs]
    known = set().union(*values)
    for key in (*required, *(key for key, _ in excluded)):
        if key not in known:
            raise ConfigError(f"no run has a key '{key}'; {did_you_mean(key, known)}")
    kept = tuple(
        run
        for run, has in zip(runs, values, strict=True)
        if all(any(matches(has.get(key), text) for text in texts) for key, texts in required.items())
        and not any(matches(has.get(key), text) for key, text in excluded)
    )
    if not kept:
        given = " ".join((*(f"only={text}" for text in only), *(f"exclude={text}" for text in exclude)))
        found = {key: dict.fromkeys(shown(has.get(key)) for has in values) for key in required}
        there = "; ".join(f"{key} is {', '.join(texts)}" for key, texts in found.items()) or "exclude fewer"
        raise ConfigError(f"{given}: none of the {len(runs)} runs is left; {there}")
    return kept


def _first(texts: Sequence[str], count: int) -> str:
    return ", ".join(texts[:count]) + (f" and {len(texts) - count} more" if len(texts) > count else "")


def comparable_groups(runs: Sequence[Run], *, split: bool) -> list[tuple[str, list[Run]]]:
    """Sort students' runs into groups that compare, each with a title: the values that not all groups have.

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
        for facts, members in groups:
            runs_of[_short(key, facts, common)] += members
        values = [f"{text} in {_first([str(run.folder) for run in of], 1)}" for text, of in runs_of.items()]
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
