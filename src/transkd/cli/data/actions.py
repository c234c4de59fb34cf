"""The actions of ``transkd-data``: the options of each, and what runs it."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from transkd.cli.progress import counting, starting
from transkd.options import REQUIRED, Count, Section, group, option
from transkd.training.config import DataConfig

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn

    from transkd.data.download.unpack import Progress as Advance

SMALLEST, LARGEST = 64, 4096
"""Pixels a side that synthetic scenes may have."""
SceneSide = Annotated[int, Field(ge=SMALLEST, le=LARGEST)]
WORKERS = "Processes; null: one a core."
IMPORTS = "Python modules to import first, from the current folder too: where custom datasets are registered."


class DataCommand(Section):
    """Get a dataset, check one, draw one, or convert one.

    Examples:
      transkd-data action=download data=camvid data.root=data/camvid
      transkd-data action=check data=folder data.root=my_scenes
      transkd-data action=synth root=data/big train=4000 val=400 seed=1

    Exit codes: 0 all is well, 1 problems were found or files are wrong, 2 a
    mistake in the arguments, 130 (Ctrl-C) or 143 (SIGTERM) a download was
    stopped, and the same command resumes it.

    More: docs/data.md
    """

    action: Any = group("synth", "What to do.")

    def run(self, console: Console) -> None:
        """Do it."""
        raise NotImplementedError


class DownloadAction(DataCommand):
    """Download a dataset that needs no account, check and unpack it; the same command resumes it."""

    action: Literal["download"] = option("download", "What is done.")
    data: DataConfig = group(
        REQUIRED, "The dataset; voc2012 (2.0 GB), camvid (0.2 GB) and nyuv2 (3.0 GB) are published."
    )
    url: str | None = option(
        None,
        "A mirror: the address of the file, or with / at its end the folder that holds the files by their names; null: "
        "where they are published.",
    )
    checksum: bool = option(
        True, "false: take files of another checksum, size or number of scenes than the published ones."
    )
    keep_archives: bool = option(False, "true: leave the downloaded files in data.root/.download.")

    def run(self, console: Console) -> None:
        """Download a dataset, and print what to do next."""
        from transkd.data.download import download_dataset

        with _stoppable():
            report = download_dataset(
                self.data.name,
                self.data.root,
                url=self.url,
                checksum=self.checksum,
                keep_archives=self.keep_archives,
                watcher=_Screen(console),
            )
        _print(console, f"{report}\n{_next_check(self.data.name, self.data.root)}")


class CheckAction(DataCommand):
    """Read every file of a dataset: counts, sizes, what is wrong, pixels and weights of classes, a contact sheet."""

    action: Literal["check"] = option("check", "What is done.")
    data: DataConfig = group(REQUIRED, "The dataset.")
    split: str | list[str] | None = option(
        None, "One split, or a list; null: all.", give="a split, a list of splits, or null for all"
    )
    workers: Count | None = option(None, WORKERS)
    pictures: Count = option(12, "How many scenes the contact sheet shows; 0: no sheet.")
    output: str | None = option(
        None,
        "A file for the numbers and the problems, with the contact sheet beside it; null: checks/NAME.json, numbered.",
    )
    overwrite: bool = option(False, "true: replace what is there.")
    imports: list[str] = option([], IMPORTS)

    def run(self, console: Console) -> None:
        """Read every file of a dataset, and print what was found.

        Raises:
            DataError: there are problems.
        """
        from transkd.cli.data.check import run_check

        with _progress(console, "reading scenes") as progress:
            outcome = run_check(self, progress)
        outcome.print(console)


class ClassesAction(DataCommand):
    """Print a dataset's classes: id, name and colour."""

    action: Literal["classes"] = option("classes", "What is done.")
    data: DataConfig = group(REQUIRED, "The dataset.")
    imports: list[str] = option([], IMPORTS)

    def run(self, console: Console) -> None:
        """Print a dataset's classes."""
        from transkd.cli.data.check import print_classes
        from transkd.data.datasets import classes_of

        print_classes(classes_of(self.data.name, self.data.root, **self.data.options), console)


class NyuAction(DataCommand):
    """Write NYUv2 as PNGs from its published MATLAB files; the same command resumes it."""

    action: Literal["nyuv2"] = option("nyuv2", "What is done.")
    mat: str = option(REQUIRED, "The path of nyu_depth_v2_labeled.mat.")
    mapping: str = option(REQUIRED, "The path of classMapping40.mat (Gupta et al.), from the 894 labels to 40 classes.")
    splits: str = option(REQUIRED, "The path of splits.mat.")
    root: str = option("data/nyuv2", "The folder to write to.")
    workers: Count = option(4, "Threads that write.")

    def run(self, console: Console) -> None:
        """Write NYUv2 as PNGs."""
        from transkd.data.convert import convert_nyuv2

        with _progress(console, "writing scenes") as progress:
            report = convert_nyuv2(
                self.mat, self.mapping, self.splits, self.root, workers=self.workers, progress=progress
            )
        _print(console, f"{report}\n{_next_check('nyuv2', self.root)}")


class SynthAction(DataCommand):
    """Draw synthetic street scenes in Cityscapes' layout."""

    action: Literal["synth"] = option("synth", "What is done.")
    root: str = option("data/synthetic", "The folder to write to.")
    train: Count = option(400, "How many training scenes.")
    val: Count = option(80, "How many validation scenes.")
    size: tuple[SceneSide, SceneSide] = option(
        [128, 256],
        "[height, width] of the scenes in pixels.",
        give=f"[height, width] in pixels, {SMALLEST} to {LARGEST} each ([128, 256])",
    )
    seed: Count = option(0, "The same seed draws the same scenes.")
    workers: Count | None = option(None, WORKERS)
    overwrite: bool = option(False, "true: replace what the folder holds.")

    def run(self, console: Console) -> None:
        """Draw synthetic scenes."""
        from transkd.data.synth import write_scenes

        with _progress(console, "drawing scenes") as progress:
            report = write_scenes(
                self.root,
                train=self.train,
                val=self.val,
                seed=self.seed,
                size=self.size,
                workers=self.workers,
                overwrite=self.overwrite,
                progress=progress,
            )
        _print(console, str(report))


def run_action(config: DataCommand) -> None:
    """Do what a config asks for.

    Raises:
        DataError: files that are wrong, or a folder that holds other things.
    """
    with starting("transkd-data"):
        from rich.console import Console

    config.run(Console())


def _print(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _next_check(name: str, root: str) -> str:
    """Return which command reads a new dataset, for a shell."""
    return f"next: {shlex.join(['transkd-data', 'action=check', f'data={name}', f'data.root={root}'])}"


@contextmanager
def _progress(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar in a terminal; gives what is called with (done, total)."""
    with counting(console) as progress:
        task = progress.add_task(what, total=None, unit="scenes")
        yield lambda done, total: progress.update(task, completed=done, total=total)


class _Screen:
    """Lines that stay, and bars in a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, line: str) -> None:
        _print(self._console, line)

    def bytes(self, what: str) -> AbstractContextManager[Advance]:
        from rich.progress import DownloadColumn, TransferSpeedColumn

        return self._bar(what, DownloadColumn(), TransferSpeedColumn())

    def items(self, what: str) -> AbstractContextManager[Advance]:
        from rich.progress import MofNCompleteColumn

        return self._bar(what, MofNCompleteColumn())

    @contextmanager
    def _bar(self, what: str, *columns: ProgressColumn) -> Iterator[Advance]:
        """Show a bar from the first time that something is known to be done, so that its speed is of this call only."""
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

        shown = (TextColumn("{task.description}"), BarColumn(), *columns, TimeRemainingColumn())
        with counting(self._console, *shown) as progress:

            def advance(done: int, total: int | None) -> None:
                if not progress.task_ids:
                    progress.add_task(what, total=total, completed=done)
                progress.update(progress.task_ids[0], completed=done, total=total)

            yield advance


@contextmanager
def _stoppable() -> Iterator[None]:
    """End with a line instead of a traceback on Ctrl-C, and in the same way where a scheduler sends SIGTERM."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        number = next(iter(interrupt.args), signal.SIGINT)
        print("transkd-data: stopped; what was downloaded is kept, and the same command resumes it", file=sys.stderr)
        sys.exit(128 + int(number))
    finally:
        signal.signal(signal.SIGTERM, before)
