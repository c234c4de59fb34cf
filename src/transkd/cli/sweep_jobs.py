"""A job of a sweep, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Fate = Literal["done", "done before", "failed", "stopped", "cut off", "not started"]
WELL: tuple[Fate, ...] = ("done", "done before")


@dataclass(frozen=True)
class Outcome:
    """What a command says of a job that went well.

    Attributes:
        fate: ``"done"``, or ``"done before"`` where nothing was left to do.
        folder: where its results lie.
        facts: what the table shows of them, name -> value.
    """

    fate: Fate = "done"
    folder: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One job of a sweep and what became of it.

    Attributes:
        number: its place in the sweep, from 0.
        overrides: its values of the swept keys.
        fate: what became of it; ``"cut off"`` is what a job leaves that was killed.
        folder: where its results lie.
        facts: what the table shows of them, name -> value.
        seconds: how long it took.
        message: why it did not go well.
        code: its exit code.
    """

    number: int
    overrides: tuple[str, ...] = ()
    fate: Fate = "not started"
    folder: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    message: str = ""
    code: int = 1
