"""``transkd-data action=download``: a dataset fetched, with its progress on the screen."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from transkd.cli.progress import counting
from transkd.data.download import download_dataset
from transkd.data.download.unpacking import Progress as Advance


def run_download(
    name: str, root: str, *, url: str | None, checksum: bool, keep_archives: bool, console: Console
) -> None:
    """Download a dataset, and say what to do next; keys as in ``conf/action/download.yaml``."""
    with _stoppable():
        report = download_dataset(
            name, root, url=url, checksum=checksum, keep_archives=keep_archives, watcher=_Screen(console)
        )
    _line(console, str(report))
    _line(console, next_check(name, root))


def next_check(name: str, root: str) -> str:
    """Say which command reads a new dataset, for a shell."""
    return f"next: {shlex.join(['transkd-data', 'action=check', f'data={name}', f'data.root={root}'])}"


class _Screen:
    """Lines that stay, and bars where someone watches."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, line: str) -> None:
        _line(self._console, line)

    def bytes(self, what: str) -> AbstractContextManager[Advance]:
        return _bar(self._console, what, DownloadColumn(), TransferSpeedColumn())

    def items(self, what: str) -> AbstractContextManager[Advance]:
        return _bar(self._console, what, MofNCompleteColumn())


@contextmanager
def _bar(console: Console, what: str, *columns: ProgressColumn) -> Iterator[Advance]:
    """Show a bar from the first time that something is known to be done, so that its speed is of this call only."""
    shown = (TextColumn("{task.description}"), BarColumn(), *columns, TimeRemainingColumn())
    with counting(console, *shown) as progress:

        def advance(done: int, total: int | None) -> None:
            if not progress.task_ids:
                progress.add_task(what, total=total, completed=done)
            progress.update(progress.task_ids[0], completed=done, total=total)

        yield advance


@contextmanager
def _stoppable() -> Iterator[None]:
    """End with a line instead of a traceback on Ctrl-C, and in the same way where a scheduler says to stop."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        number = next(iter(interrupt.args), signal.SIGINT)
        print("transkd-data: stopped; what was downloaded is kept, and the same command goes on", file=sys.stderr)
        sys.exit(128 + int(number))
    finally:
        signal.signal(signal.SIGTERM, before)


def _line(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
