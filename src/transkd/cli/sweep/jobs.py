"""A sweep's jobs and what became of them: a file a job, which outlives processes, and a table at the end."""

from __future__ import annotations

import json
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from rich.console import Console
from rich.table import Table
from rich.text import Text

from transkd.cli.sweep.plan import SweepPlan
from transkd.errors import ConfigError, TransKDError
from transkd.files import write_text

Fate = Literal["done", "done before", "failed", "stopped", "cut off", "not started"]
FINISHED: tuple[Fate, ...] = ("done", "done before")
COLOURS: dict[Fate, str] = {"done": "green", "done before": "green", "failed": "red"}
WIDE = 160
"""Columns of a table that goes to a file, so that its folders are not folded."""


@dataclass(frozen=True)
class Outcome:
    """What a command returns of a job that ended well.

    Attributes:
        fate: ``"done"``, or ``"done before"`` where nothing was left to do.
        folder: where its results are.
        scores: what the table shows of them, name -> value.
    """

    fate: Fate = "done"
    folder: str = ""
    scores: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One job of a sweep and what became of it.

    Attributes:
        number: its place in the sweep, from 0.
        overrides: its values of the swept keys.
        fate: what became of it; ``"cut off"`` is what a job leaves that was killed.
        folder: where its results are.
        scores: what the table shows of them, name -> value.
        seconds: how long it took.
        message: why it did not end well.
        code: its exit code.
    """

    number: int
    overrides: tuple[str, ...] = ()
    fate: Fate = "not started"
    folder: str = ""
    scores: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    message: str = ""
    code: int = 1


def in_sweep() -> bool:
    """Return whether this process runs a job of a sweep."""
    return bool(HydraConfig.initialized()) and HydraConfig.get().mode == RunMode.MULTIRUN


def sweep_name() -> str:
    """Return the name of this job's sweep: its folder's name."""
    return Path(HydraConfig.get().sweep.dir).name


class Sweep:
    """The jobs of one sweep.

    Args:
        command: the command's name, such as ``"transkd-train"``.
        plan: what it is going to do.
    """

    def __init__(self, command: str, plan: SweepPlan) -> None:
        self.command = command
        self.plan = plan
        self.files = plan.folder / "jobs"

    def run(self, action: Callable[[], Outcome | None]) -> None:
        """Run one job, and write what becomes of it; only a stop by a signal ends the sweep.

        Args:
            action: what the job does.
        """
        number = int(HydraConfig.get().job.num)
        planned = self.plan.jobs[number : number + 1]
        job = Job(number, planned[0] if planned else tuple(HydraConfig.get().overrides.task), "cut off")
        self._write(job)
        of = f" of {len(self.plan.jobs)}" if self.plan.jobs else ""
        print(f"\njob {number + 1}{of}: {' '.join(job.overrides)}", flush=True)
        started = time.monotonic()
        changes: dict[str, Any] = {}
        try:
            with _own_command_line(self.command):
                outcome = action() or Outcome()
            changes = {**asdict(outcome), "code": 0}
        except SystemExit as stop:
            changes = {"fate": "stopped", "message": "stopped by a signal; the same sweep resumes it"}
            changes["code"] = stop.code if isinstance(stop.code, int) else 1
            raise
        except TransKDError as error:
            print(f"{self.command}: {error}", file=sys.stderr, flush=True)
            changes = {"fate": "failed", "message": str(error), "code": 2 if isinstance(error, ConfigError) else 1}
        except Exception as error:
            log = self.files / f"{number}.log"
            log.write_text(traceback.format_exc())
            message = f"{_in_a_line(error)} (traceback: {log})"
            print(f"{self.command}: {message}", file=sys.stderr, flush=True)
            changes = {"fate": "failed", "message": message, "code": 1}
        finally:
            self._write(Job(**{**asdict(job), "seconds": time.monotonic() - started, **changes}))

    def launch(self, app: Callable[[], Any]) -> int:
        """Run all jobs, print what became of them, and return the sweep's exit code.

        Args:
            app: Hydra's main function.
        """
        code: object = 0
        self._forget_earlier()
        try:
            app()
        except SystemExit as end:
            code = end.code
        except KeyboardInterrupt:
            code = 130
        except Exception as error:  # a launcher's worker that was killed; its job is one that was cut off
            print(f"{self.command}: {_in_a_line(error)}", file=sys.stderr, flush=True)
            code = 1
        return max(self.print_jobs(), code if isinstance(code, int) else int(code is not None))

    def jobs(self) -> list[Job]:
        """Return every job that was planned or started, in order."""
        found = {job.number: job for job in map(_read, self.files.glob("*.json")) if job is not None}
        planned = {number: Job(number, overrides) for number, overrides in enumerate(self.plan.jobs)}
        return [job for _, job in sorted((planned | found).items())]

    def print_jobs(self, console: Console | None = None) -> int:
        """Print a table with a row for each job.

        Returns:
            The sweep's exit code: 0 if all jobs finished, else the largest of theirs.
        """
        console = console or Console(width=None if sys.stdout.isatty() else WIDE)
        jobs = self.jobs()
        if not jobs:
            return 0
        names = list(dict.fromkeys(name for job in jobs for name in job.scores))
        folder = f"\nthe sweep's folder: {_from_here(self.plan.folder)}"
        console.print(folder, highlight=False, markup=False, soft_wrap=True)
        table = Table(title="the sweep's jobs", title_justify="left")
        for heading in ("job", "settings", "fate", *names, "minutes", "where"):
            table.add_column(heading, overflow="fold")
        for job in jobs:
            scores = [_shown(job.scores.get(name)) for name in names]
            minutes = f"{job.seconds / 60:.1f}" if job.seconds else ""
            where = _from_here(Path(job.folder)) if job.fate in FINISHED else _first_line(job.message)
            fate = Text(job.fate, style=COLOURS.get(job.fate, "yellow"))
            table.add_row(str(job.number + 1), Text("\n".join(job.overrides)), fate, *scores, minutes, Text(where))
        console.print(table)
        unfinished = [job for job in jobs if job.fate not in FINISHED]
        if unfinished:
            text = f"{len(unfinished)} of {len(jobs)} jobs did not finish; the same command does only what is missing"
            console.print(text, highlight=False, soft_wrap=True)
        return max((job.code for job in unfinished), default=0)

    def _forget_earlier(self) -> None:
        """Remove what an earlier sweep wrote into a folder that was named by ``hydra.sweep.dir``.

        Raises:
            ConfigError: the folder cannot be written.
        """
        try:
            self.files.mkdir(parents=True, exist_ok=True)
            for path in self.files.iterdir():
                if re.fullmatch(r"\d+\.(json|log)", path.name):
                    path.unlink()
        except OSError as error:
            raise ConfigError(
                f"the sweep's folder {self.plan.folder} cannot be written ({error.strerror}): choose another by "
                "hydra.sweep.dir=…"
            ) from error

    def _write(self, job: Job) -> None:
        self.files.mkdir(parents=True, exist_ok=True)
        write_text(self.files / f"{job.number}.json", json.dumps(asdict(job), indent=1, default=str))


@contextmanager
def _own_command_line(command: str) -> Iterator[None]:
    """Let ``sys.argv`` be the command that would run this job alone, which results keep."""
    swept, hydra = sys.argv, HydraConfig.get()
    # Hydra's sweeper escapes the braces of interpolations.
    overrides = [re.sub(r"\$\\\{(.*?)\\\}", r"${\1}", text) for text in hydra.overrides.task]
    sweep = ["-m"] if any(text.lstrip("+").startswith("sweep=") for text in overrides) else []  # what else it sets
    dirs = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
    sys.argv = [command, *sweep, *(f"--config-dir={folder}" for folder in dirs), *overrides]
    try:
        yield
    finally:
        sys.argv = swept


def _read(path: Path) -> Job | None:
    """Return the job of a file, None where it is damaged: that job counts as one that did not start."""
    try:
        values: Mapping[str, Any] = json.loads(path.read_text())
        return Job(**{**values, "overrides": tuple(values["overrides"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _in_a_line(error: Exception) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"


def _shown(value: object) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def _from_here(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _first_line(message: str) -> str:
    first, *rest = message.splitlines() or [""]
    return f"{first} {rest[0].strip()}" if first.endswith(":") and rest else first
