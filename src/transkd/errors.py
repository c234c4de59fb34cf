"""Errors that a user can cause: each is one message that says what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class TransKDError(Exception):
    """Base of every error that a user can cause; the commands print it without a traceback."""


class ConfigError(TransKDError, ValueError):
    """A configuration key, value or name that does not exist or does not fit."""


class DataError(TransKDError, ValueError):
    """Files of a dataset that are missing, unreadable or do not fit together."""


class WeightsError(TransKDError, ValueError):
    """Model weights that are missing, damaged or of another architecture."""


class CheckpointError(TransKDError, RuntimeError):
    """A training checkpoint that is missing, damaged or not one of ours."""


class NonFiniteError(TransKDError, RuntimeError):
    """A loss or a gradient became NaN or infinite; the run stopped before the update."""


class ExportError(TransKDError, RuntimeError):
    """A segmenter that cannot be exported as requested, or an exported file whose outputs differ from its source's."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint naming the closest of ``known``, or listing them all, to end an error message with.

    Args:
        name: what was requested.
        known: what exists.

    Returns:
        ``"did you mean 'x'?"`` where one is close, else ``"known: a, b, c"``.
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names)}"


def first_few(names: Iterable[object], count: int = 3) -> str:
    """Return the first of some names, separated by commas, to quote in a message, and "..." where there are more."""
    listed = [str(name) for name in names]
    return ", ".join(listed[:count]) + (", ..." if len(listed) > count else "")


def first_line(error: object) -> str:
    """Return the first line of an error's message, or its type where it has none, to quote in another message."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
