"""Options of losses, checked: a wrong one is told by the loss's name, the option and what it takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import TypeGuard

from transkd.errors import ConfigError, did_you_mean


def positive(loss: str, option: str, value: object) -> float:
    """Return an option that must be a finite number above 0.

    Args:
        loss: the loss's registered name.
        option: the option's name.
        value: what was given.

    Raises:
        ConfigError: if it is anything else.
    """
    number = _finite(value)
    if number is None or number <= 0:
        raise ConfigError(f"{loss}: {option} is {value!r}, it must be a number above 0")
    return number


def at_least(loss: str, option: str, value: object, lowest: float) -> float:
    """Return an option that must be a finite number, ``lowest`` or more; see :func:`positive`."""
    number = _finite(value)
    if number is None or number < lowest:
        raise ConfigError(f"{loss}: {option} is {value!r}, it must be a number of {lowest:g} or more")
    return number


def whole_number(loss: str, option: str, value: object, lowest: int) -> int:
    """Return an option that must be a whole number, ``lowest`` or more; see :func:`positive`."""
    if not is_whole(value) or value < lowest:
        raise ConfigError(f"{loss}: {option} is {value!r}, it must be a whole number of {lowest} or more")
    return int(value)


def one_of(loss: str, option: str, value: object, choices: Iterable[str]) -> str:
    """Return an option that must be one of some names; see :func:`positive`."""
    names = list(choices)
    if not isinstance(value, str) or value not in names:
        raise ConfigError(f"{loss}: {option} is {value!r}, there is no such choice; {did_you_mean(str(value), names)}")
    return value


def true_or_false(loss: str, option: str, value: object) -> bool:
    """Return an option that must be a truth value; see :func:`positive`."""
    if not isinstance(value, bool):
        raise ConfigError(f"{loss}: {option} is {value!r}, it must be true or false")
    return value


def not_all_zero(loss: str, **weights: object) -> tuple[float, ...]:
    """Return options that weigh the parts of a loss: finite numbers, none below 0, one at least above it.

    Args:
        loss: the loss's registered name.
        **weights: option -> what was given.

    Raises:
        ConfigError: if one is anything else, or all are 0 and the loss would do nothing.
    """
    numbers = tuple(at_least(loss, option, value, 0) for option, value in weights.items())
    if not any(numbers):
        raise ConfigError(f"{loss}: {' and '.join(weights)} are 0, so it compares nothing; leave the loss out instead")
    return numbers


def chosen_stages(loss: str, stages: object, available: Iterable[int]) -> tuple[int, ...]:
    """Return the student's stages that an option names, shallowest first.

    Args:
        loss: the loss's registered name.
        stages: what was given: a list of stages, counted from 1.
        available: the student's stages that pair with one of the teacher's, counted from 1.

    Raises:
        ConfigError: if it is no list of different stages out of those.
    """
    known = sorted(available)
    listed = list(stages) if isinstance(stages, Sequence) and not isinstance(stages, str) else []
    whole = [int(stage) for stage in listed if is_whole(stage)]
    if not listed or len(whole) < len(listed) or len(set(whole)) < len(whole) or not set(whole) <= set(known):
        raise ConfigError(
            f"{loss}: stages is {stages!r}, it must list stages of the student once each, counted from 1; "
            f"student and teacher pair at {known}"
        )
    return tuple(sorted(whole))


def chosen_stage(loss: str, stage: object, available: Iterable[int]) -> int:
    """Return the one stage of the student that an option names, counted from 1; see :func:`chosen_stages`."""
    known = sorted(available)
    if not is_whole(stage) or stage not in known:
        raise ConfigError(
            f"{loss}: stage is {stage!r}, it must be one of the student's, counted from 1; "
            f"student and teacher pair at {known}"
        )
    return int(stage)


def is_whole(value: object) -> TypeGuard[Integral]:
    """Return whether a value is a whole number, numpy's among them; a truth value is none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        return None
    return float(value)
