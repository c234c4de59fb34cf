"""What a download tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Progress = Callable[[int, int | None], None]
"""Called with what is done and what there is in all, None where that is not known."""


class Watcher(Protocol):
    """Shows lines and progress."""

    def say(self, line: str) -> None:
        """Show a line that stays."""

    def bytes(self, what: str) -> AbstractContextManager[Progress]:
        """Show the progress of something that is counted in bytes."""

    def items(self, what: str) -> AbstractContextManager[Progress]:
        """Show the progress of something that is counted in pieces."""


class Silent:
    """A watcher that shows nothing."""

    def say(self, line: str) -> None:
        """Show nothing."""

    def bytes(self, what: str) -> AbstractContextManager[Progress]:
        """Show nothing."""
        return nullcontext(_nothing)

    def items(self, what: str) -> AbstractContextManager[Progress]:
        """Show nothing."""
        return nullcontext(_nothing)


def _nothing(done: int, total: int | None) -> None:
    """Take no notice."""
