"""The values that ``transkd-doctor`` takes, checked without any library, since any of them may be broken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from transkd.errors import did_you_mean

FORMATS = ("text", "markdown", "json")


def doctor_problems(values: Mapping[str, Any]) -> Sequence[str]:
    """List what is wrong with the values of a composed config."""
    return list(_problems(values))


def _problems(values: Mapping[str, Any]) -> Iterator[str]:
    if values["format"] not in FORMATS:
        hint = did_you_mean(str(values["format"]), FORMATS)
        yield f"format: there is no such choice; {hint} (it is {values['format']!r})"
    if not isinstance(values["trials"], bool):
        yield f"trials: give true or false (it is {values['trials']!r})"
    for key in values.keys() - {"format", "trials"}:
        yield f"{key}: there is no such key; known: format, trials"
