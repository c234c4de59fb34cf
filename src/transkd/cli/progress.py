"""Progress that is shown at a terminal, and in logs and pipes not at all."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, Task

ERASED = "\r\x1b[2K"


def is_watched() -> bool:
    """Return whether standard error is a terminal on which a line can be taken back, and this is the first process."""
    return (
        sys.stderr.isatty()
        and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
        and (os.environ.get("LOCAL_RANK", "0") == "0")
    )


@contextmanager
def passing_line() -> Iterator[Callable[[str], None]]:
    """Give what shows a line in the place of the last one, and take it back in the end; silent where nobody watches."""
    watched = is_watched()

    def say(text: str) -> None:
        if watched:
            room = shutil.get_terminal_size().columns - 4
            print(f"{ERASED}{text[:room]} …", end="", file=sys.stderr, flush=True)

    try:
        yield say
    finally:
        if watched:
            print(ERASED, end="", file=sys.stderr, flush=True)


@contextmanager
def starting(name: str) -> Iterator[None]:
    """Say at once that a command has started, while its libraries are imported.

    Args:
        name: the command's name.
    """
    with passing_line() as say:
        say(f"{name}: starting")
        yield


def screen() -> Console:
    """Return a console for what passes: standard error as it is now, also while a library is kept from it later."""
    from rich.console import Console

    return Console(file=sys.stderr, highlight=False, markup=False, emoji=False)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show what is done, for as long as it takes, where nobody knows how far it is; silent where nobody watches."""
    console = screen()
    if not console.is_interactive:
        yield
        return
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with counting(console, *columns) as progress:
        progress.add_task(what, total=None)
        yield


def counting(console: Console, *columns: ProgressColumn) -> Progress:
    """Return bars that vanish when they are done, and stay away where nobody watches.

    Args:
        console: where they are shown.
        columns: what they say; left out: what is done of how much, how fast (in a task's ``unit``) and how
            long it still takes.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        """How much is done in a second, or how long one takes where that is more."""

        def render(self, task: Task) -> Text:
            """Return the speed, empty until it is known."""
            speed, unit = task.finished_speed or task.speed, task.fields.get("unit")
            if not speed:
                return Text("")
            if speed < 1:
                return Text(f"{1 / speed:.1f} s each")
            return Text(f"{speed:.1f} {unit}/s" if unit else f"{speed:.1f}/s")

    shown = columns or (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Speed(),
        TimeRemainingColumn(),
    )
    return Progress(*shown, console=console, disable=not console.is_interactive, transient=True)
