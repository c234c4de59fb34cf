"""``transkd-data``: get, check, convert and draw datasets; the options of each action, and what runs it."""

from __future__ import annotations

import os
import shlex
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from transkd.cli.progress import output, progress_bar, stoppable
from transkd.options import REQUIRED, Count, Section, group, option
from transkd.training.config import DataConfig

if TYPE_CHECKING:
    from transkd.data.download.unpack import Progress as Advance

SMALLEST, LARGEST = 64, 4096
"""Pixels a side that synthetic scenes may have."""
SceneSide = Annotated[int, Field(ge=SMALLEST, le=LARGEST)]
WORKERS = "Processes; null: one a core."
IMPORTS = "Python modules to import first, from the current folder too: where custom datasets are registered."
STOPPED = "transkd-data: stopped; what was downloaded is kept, and the same command resumes it"


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

    def run(self) -> None:
        """Do it."""
        raise NotImplementedError  # of each action


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

    def run(self) -> None:
        """Download a dataset, and print what to do next."""
        from transkd.data.download import download_dataset

        with stoppable(lambda: STOPPED):
            report = download_dataset(
                self.data.name,
                self.data.root,
                url=self.url,
                checksum=self.checksum,
                keep_archives=self.keep_archives,
                watcher=_Screen(),
            )
        print(f"{report}\n{_next_check(self.data.name, self.data.root)}")


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

    def run(self) -> None:
        """Read every file of a dataset, and print what was found."""
        from transkd.cli.data_check import check_dataset

        check_dataset(
            self.data,
            splits=[self.split] if isinstance(self.split, str) else self.split,
            workers=os.cpu_count() or 1 if self.workers is None else self.workers,
            pictures=self.pictures,
            output=self.output,
            overwrite=self.overwrite,
        )


class ClassesAction(DataCommand):
    """Print a dataset's classes: id, name and colour."""

    action: Literal["classes"] = option("classes", "What is done.")
    data: DataConfig = group(REQUIRED, "The dataset.")
    imports: list[str] = option([], IMPORTS)

    def run(self) -> None:
        """Print a dataset's classes."""
        from rich.table import Table

        from transkd.cli.data_check import swatch
        from transkd.data.datasets import classes_of

        classes = classes_of(self.data.name, self.data.root, **self.data.options)
        table = Table("id", "class", "colour (R, G, B)")
        for index, (name, colour) in enumerate(zip(classes.names, classes.palette, strict=True)):
            table.add_row(str(index), name, swatch(colour))
        table.add_row(str(classes.ignore_index), "ignored", "")
        output().print(table)


class NyuAction(DataCommand):
    """Write NYUv2 as PNGs from its published MATLAB files; the same command resumes it."""

    action: Literal["nyuv2"] = option("nyuv2", "What is done.")
    mat: str = option(REQUIRED, "The path of nyu_depth_v2_labeled.mat.")
    mapping: str = option(REQUIRED, "The path of classMapping40.mat (Gupta et al.), from the 894 labels to 40 classes.")
    splits: str = option(REQUIRED, "The path of splits.mat.")
    root: str = option("data/nyuv2", "The folder to write to.")
    workers: Count = option(4, "Threads that write.")

    def run(self) -> None:
        """Write NYUv2 as PNGs."""
        from transkd.data.convert import convert_nyuv2

        with progress_bar("writing scenes", "scenes") as progress:
            report = convert_nyuv2(
                self.mat, self.mapping, self.splits, self.root, workers=self.workers, progress=progress
            )
        print(f"{report}\n{_next_check('nyuv2', self.root)}")


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

    def run(self) -> None:
        """Draw synthetic scenes."""
        from transkd.data.synth import write_scenes

        with progress_bar("drawing scenes", "scenes") as progress:
            print(write_scenes(**self.model_dump(exclude={"action"}), progress=progress))


def run_action(config: DataCommand) -> None:
    """Do what a config asks for.

    Raises:
        DataError: files that are wrong, or a folder that holds other things.
    """
    config.run()


def _next_check(name: str, root: str) -> str:
    """Return which command reads a new dataset, for a shell."""
    return f"next: {shlex.join(['transkd-data', 'action=check', f'data={name}', f'data.root={root}'])}"


class _Screen:
    """What a download reports: lines, and bars at a terminal."""

    def say(self, line: str) -> None:
        print(line)

    def bytes(self, what: str) -> AbstractContextManager[Advance]:
        from rich.progress import DownloadColumn, TransferSpeedColumn

        return progress_bar(what, "bytes", DownloadColumn(), TransferSpeedColumn())

    def items(self, what: str) -> AbstractContextManager[Advance]:
        return progress_bar(what, "scenes")
