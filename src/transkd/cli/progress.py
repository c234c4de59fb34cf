"""What commands show: tables, progress at a terminal and in logs and pipes not at all, and a line when stopped."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, Task
    from rich.table import Table

ERASED = "\r\x1b[2K"
WIDE = 200
"""Columns of a table that goes to a file, which nothing folds."""
NAME = 12
"""Columns that the first column keeps however narrow the terminal is."""


@contextmanager
def starting(name: str) -> Iterator[None]:
    """Show at once that a command has started, while its libraries, rich too, are imported."""
    plain = os.environ.get("TERM", "dumb") in ("dumb", "unknown") or os.environ.get("LOCAL_RANK", "0") != "0"
    shown = sys.stderr.isatty() and not plain
    try:
        if shown:
            print(f"{ERASED}{name}: starting …", end="", file=sys.stderr, flush=True)
        yield
    finally:
        if shown:
            print(ERASED, end="", file=sys.stderr, flush=True)


def output() -> Console:
    """Return a console for tables on standard output, whose texts are printed as they are."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else WIDE
    return Console(width=width, highlight=False, markup=False, emoji=False)


def text_table(heads: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> Table:
    """Return a table of texts for :func:`output`: the first column to the left, those of numbers to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for index, head in enumerate(heads):
        justify: Literal["left", "right"] = "right" if index else "left"
        table.add_column(head, justify=justify, overflow="fold", no_wrap=index > 0, min_width=0 if index else NAME)
    for row in rows:
        table.add_row(*row)
    return table


def screen() -> Console:
    """Return a console for what passes: standard error as it is now, also while a library is kept from it later."""
    from rich.console import Console

    return Console(file=sys.stderr, highlight=False, markup=False, emoji=False)


def working(what: str) -> AbstractContextManager[object]:
    """Show what is done, for as long as it takes, where nobody knows how far it is; silent where nobody watches."""
    from rich.text import Text

    return screen().status(Text(what))


def counting(console: Console, *columns: ProgressColumn) -> Progress:
    """Return bars that vanish when they are done, and are not shown where nobody watches.

    By default their columns are what is done of how much, and how fast, in a task's ``unit``.
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

    description = TextColumn("{task.description}", markup=False)
    shown = (description, BarColumn(), *(columns or (MofNCompleteColumn(), Speed())), TimeRemainingColumn())
    return Progress(*shown, console=console, disable=not console.is_interactive, transient=True)


@contextmanager
def progress_bar(what: str, unit: str, *columns: ProgressColumn) -> Iterator[Callable[[int, int | None], None]]:
    """Show one bar of what is done, counted in a unit such as ``"images"``; gives what is called with (done, total)."""
    with counting(screen(), *columns) as bars:
        task = bars.add_task(what, total=None, unit=unit)
        yield lambda done, total: bars.update(task, completed=done, total=total)


@contextmanager
def stoppable(ending: Callable[[], str]) -> Iterator[None]:
    """Leave the process with a line instead of a traceback on Ctrl-C, SIGTERM and a closed terminal."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    signals = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    handled = [number for number in signals if signal.getsignal(number) != signal.SIG_IGN]  # as nohup has it
    before = {number: signal.signal(number, stop) for number in handled}
    try:
        yield
    except KeyboardInterrupt as interrupt:
        print(ending(), file=sys.stderr)
        sys.exit(128 + int(next(iter(interrupt.args), signal.SIGINT)))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
