"""Checks of what Python code passes: one message where it is of another kind, not a missing attribute later on."""

from __future__ import annotations

from typing import Any

from transkd.errors import ConfigError


def expect(caller: str, name: str, value: object, kinds: type[Any] | tuple[type[Any], ...], wanted: str) -> None:
    """Raise a ConfigError unless an argument is of one of some kinds.

    Args:
        caller: the function or class whose argument it is.
        name: the argument.
        value: what was given.
        kinds: what it has to be an instance of; a truth value is no whole number.
        wanted: what to give, for the message.
    """
    is_truth_for_number = isinstance(value, bool) and kinds is int
    if isinstance(value, kinds) and not is_truth_for_number:
        return
    given = repr(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    raise ConfigError(f"{caller}: {name} is {given}; give {wanted}")
