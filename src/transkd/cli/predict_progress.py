"""Progress on the screen: what is done, how fast, and how long it takes."""

from __future__ import annotations

from types import TracebackType

from rich.progress import TaskID

from transkd.cli.progress import counting, screen


class Bars:
    """A bar for each thing that is worked on; silent where standard error is no terminal."""

    def __init__(self) -> None:
        self._progress = counting(screen())
        self._task: TaskID | None = None

    def start(self, what: str, total: int | None, unit: str) -> None:
        """Begin a bar, in the place of the one before.

        Args:
            what: stands before it.
            total: how much there is, None where nobody knows.
            unit: what speeds count.
        """
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(what, total=total, unit=unit)

    def advance(self) -> None:
        """Move the bar by one."""
        if self._task is not None:
            self._progress.advance(self._task)

    def update(self, done: int, total: int) -> None:
        """Move the bar; a total of 0 is an unknown one."""
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=total or None)

    def __enter__(self) -> Bars:
        """Show the bars."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take them off the screen."""
        self._progress.stop()
