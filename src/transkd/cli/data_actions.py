"""The actions of ``transkd-data``: the keys of each, and what runs it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from rich.console import Console

from transkd.cli.data_check import CheckRequest, run_check
from transkd.cli.data_download import next_check, run_download
from transkd.cli.data_outcome import print_classes
from transkd.cli.progress import counting
from transkd.data.convert import convert_nyuv2
from transkd.data.datasets import available_datasets, classes_of
from transkd.data.synth import write_scenes
from transkd.data.synth.scene import LARGEST, SMALLEST
from transkd.errors import ConfigError, DataError, did_you_mean
from transkd.options import Problem, Section, as_clause, find_problems, mistakes
from transkd.training.config import DataConfig

Count = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=SMALLEST, le=LARGEST)]


class SynthAction(Section):
    """The config of ``action=synth``."""

    action: Literal["synth"]
    root: str
    train: Count
    val: Count
    size: Annotated[
        tuple[Side, Side], Field(title=f"[height, width] in pixels, {SMALLEST} to {LARGEST} each ([128, 256])")
    ]
    seed: Count
    workers: Count | None
    overwrite: bool

    def run(self, console: Console) -> None:
        """Draw synthetic scenes."""
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
        console.print(str(report), highlight=False, markup=False, soft_wrap=True)


class NyuAction(Section):
    """The config of ``action=nyuv2``."""

    action: Literal["nyuv2"]
    mat: str
    mapping: str
    splits: str
    root: str
    workers: Count

    def run(self, console: Console) -> None:
        """Write NYUv2 as PNGs."""
        with _progress(console, "writing scenes") as progress:
            report = convert_nyuv2(
                self.mat, self.mapping, self.splits, self.root, workers=self.workers, progress=progress
            )
        console.print(f"{report}\n{next_check('nyuv2', self.root)}", highlight=False, markup=False, soft_wrap=True)


class CheckAction(Section):
    """The config of ``action=check``."""

    action: Literal["check"]
    data: DataConfig
    split: Annotated[str | list[str] | None, Field(title="a split, a list of splits, or null for all")]
    workers: Count | None
    pictures: Count
    output: str | None
    overwrite: bool
    imports: list[str] = Field(default_factory=list)

    def run(self, console: Console) -> None:
        """Read every file of a dataset, and tell what was found.

        Raises:
            DataError: if there are problems.
        """
        request = CheckRequest(
            name=self.data.name,
            root=self.data.root,
            options=self.data.options,
            splits=[self.split] if isinstance(self.split, str) else self.split,
            train_split=self.data.train_split,
            val_split=self.data.val_split,
            workers=os.cpu_count() or 1 if self.workers is None else self.workers,
            pictures=self.pictures,
            output=None if self.output is None else Path(self.output).expanduser(),
            overwrite=self.overwrite,
        )
        with _progress(console, "reading scenes") as progress:
            outcome = run_check(request, progress)
        outcome.tell(console)


class ClassesAction(Section):
    """The config of ``action=classes``."""

    action: Literal["classes"]
    data: DataConfig
    imports: list[str] = Field(default_factory=list)

    def run(self, console: Console) -> None:
        """Print a dataset's classes."""
        print_classes(classes_of(self.data.name, self.data.root, **self.data.options), console)


class DownloadAction(Section):
    """The config of ``action=download``."""

    action: Literal["download"]
    data: DataConfig
    url: str | None
    checksum: bool
    keep_archives: bool

    def run(self, console: Console) -> None:
        """Download a dataset."""
        run_download(
            self.data.name,
            self.data.root,
            url=self.url,
            checksum=self.checksum,
            keep_archives=self.keep_archives,
            console=console,
        )


Action = SynthAction | NyuAction | CheckAction | ClassesAction | DownloadAction
_ACTIONS: dict[str, type[Action]] = {
    "synth": SynthAction,
    "nyuv2": NyuAction,
    "check": CheckAction,
    "classes": ClassesAction,
    "download": DownloadAction,
}


def action_problems(values: Mapping[str, Any]) -> list[Problem]:
    """List every key that is unknown or missing, and every value that does not fit, for the action that is chosen."""
    name = values.get("action")
    if name not in _ACTIONS:
        return [Problem("action", f"there is no such choice; {did_you_mean(str(name), _ACTIONS)} (it is {name!r})")]
    problems = find_problems(_ACTIONS[name], values)
    if "data" in values and not any(problem.touches("data") for problem in problems):
        problems += _data_problems(values["data"])
    return problems


def run_action(values: Mapping[str, Any]) -> None:
    """Do what a config says.

    Raises:
        ConfigError: keys or values that do not fit.
        DataError: files that are wrong, or a folder that holds other things.
    """
    problems = action_problems(values)
    if problems:
        raise ConfigError(mistakes(problems))
    _ACTIONS[values["action"]].model_validate(dict(values)).run(Console())


def _data_problems(data: Mapping[str, Any]) -> list[Problem]:
    if data["name"] not in available_datasets():
        hint = did_you_mean(data["name"], available_datasets())
        return [Problem("data.name", f"there is no dataset '{data['name']}'; {hint}")]
    try:
        classes_of(data["name"], data["root"], **data["options"])
    except ConfigError as error:
        return [Problem("", as_clause(error))]
    except DataError:
        pass  # told when the files are read
    return []


@contextmanager
def _progress(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar where someone watches; gives what is called with (done, total)."""
    with counting(console) as progress:
        task = progress.add_task(what, total=None, unit="scenes")
        yield lambda done, total: progress.update(task, completed=done, total=total)
