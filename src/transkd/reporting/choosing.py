"""Choosing runs by what they are: ``KEY:VALUE`` of their config, protocol, data or folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]

from transkd.errors import ConfigError, did_you_mean
from transkd.reporting.recipes import score_facts, shown
from transkd.reporting.runs import Run


class Condition(NamedTuple):
    """A key and the value, or the pattern with ``*`` and ``?``, that it has to have."""

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
    """Return what a run can be chosen by: its config, ``protocol.…``, ``data.…``, ``training.…`` and ``folder``."""
    training = {f"training.{key}": value for key, value in run.results.training.model_dump().items()}
    return {**run.flat_config, **score_facts(run), **training, "folder": run.folder.as_posix()}


def chosen(runs: Sequence[Run], only: Iterable[str], exclude: Iterable[str]) -> tuple[Run, ...]:
    """Return the runs that are asked for.

    Args:
        runs: what there is.
        only: conditions that hold; of several for one key, one has to.
        exclude: conditions of which none holds.

    Raises:
        ConfigError: a condition on a key that no run has, or nothing is left.
    """
    wanted, unwanted = ([parse_condition(text) for text in texts] for texts in (only, exclude))
    known = {key for run in runs for key in selectable(run)}
    for condition in (*wanted, *unwanted):
        if condition.key not in known:
            raise ConfigError(f"no run has a key '{condition.key}'; {did_you_mean(condition.key, known)}")
    keys = dict.fromkeys(condition.key for condition in wanted)
    kept = tuple(
        run
        for run in runs
        if all(any(c.holds(run) for c in wanted if c.key == key) for key in keys)
        and not any(condition.holds(run) for condition in unwanted)
    )
    if not kept:
        said = " ".join(
            [*(f"only={c.key}:{c.value}" for c in wanted), *(f"exclude={c.key}:{c.value}" for c in unwanted)]
        )
        raise ConfigError(f"{said}: none of the {len(runs)} runs is left; {_values(runs, wanted)}")
    return kept


def _values(runs: Sequence[Run], wanted: Sequence[Condition]) -> str:
    """Say which values there are of the keys that were asked for."""
    lines = []
    for key in dict.fromkeys(condition.key for condition in wanted):
        values = dict.fromkeys(shown(selectable(run).get(key)) for run in runs)
        lines.append(f"{key} is {', '.join(values)}")
    return "; ".join(lines) or "exclude fewer"
