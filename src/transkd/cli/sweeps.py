"""A sweep's jobs and their fates: a file a job, so that they outlive processes and machines, and a table at the end."""

from __future__ import annotations

import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from rich.console import Console
from rich.table import Table
from rich.text import Text

from transkd.cli.sweep_plan import SweepPlan
from transkd.errors import ConfigError, TransKDError

Fate = Literal["done", "done before", "failed", "stopped", "cut off", "not started"]
COLOURS: dict[Fate, str] = {"done": "green", "done before": "green", "failed": "red", "stopped": "yellow"}
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


def in_sweep() -> bool:
    """Return whether this process runs a job of a sweep."""
    return bool(HydraConfig.initialized()) and HydraConfig.get().mode == RunMode.MULTIRUN


def sweep_name() -> str:
    """Return what the sweep of this job is called: its folder's name."""
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
        """Run one job, and write down what becomes of it; only a stop by a signal ends the sweep.

        Args:
            action: what the job does.
        """
        number = int(HydraConfig.get().job.num)
        job = Job(number, self._overrides(number), "cut off")
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
            changes = {"fate": "stopped", "message": "stopped by a signal; the same sweep goes on with it"}
            changes["code"] = stop.code if isinstance(stop.code, int) else 1
            raise
        except TransKDError as error:
            print(f"{self.command}: {error}", file=sys.stderr, flush=True)
            code = 2 if isinstance(error, ConfigError) else 1
            changes = {"fate": "failed", "message": str(error), "code": code}
        except Exception as error:
            log = self.files / f"{number}.log"
            log.write_text(traceback.format_exc())
            message = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''} (all of it: {log})"
            print(f"{self.command}: {message}", file=sys.stderr, flush=True)
            changes = {"fate": "failed", "message": message, "code": 1}
        finally:
            self._write(Job(**{**asdict(job), "seconds": time.monotonic() - started, **changes}))

    def launch(self, app: Callable[[], Any]) -> int:
        """Run all jobs, print their fates, and return the sweep's exit code.

        Args:
            app: Hydra's main function.
        """
        code: object = 0
        try:
            with _environment(HYDRA_FULL_ERROR="1"):  # Hydra raises what ends a launcher, instead of printing it
                app()
        except SystemExit as end:
            code = end.code
        except KeyboardInterrupt:
            code = 130
        except Exception as error:  # a launcher's worker that was killed; its job is one that was cut off
            print(f"{self.command}: {type(error).__name__}: {str(error).splitlines()[0]}", file=sys.stderr, flush=True)
            code = 1
        return max(self.tell(), code if isinstance(code, int) else int(code is not None))

    def jobs(self) -> list[Job]:
        """Return every job that was planned or started, in order."""
        found = {job.number: job for job in map(_read, self.files.glob("*.json"))}
        planned = {number: Job(number, overrides) for number, overrides in enumerate(self.plan.jobs)}
        return [job for _, job in sorted((planned | found).items())]

    def tell(self, console: Console | None = None) -> int:
        """Print the table of jobs and fates.

        Returns:
            The sweep's exit code: 0 if all went well, else the largest of its jobs'.
        """
        console = console or Console()
        jobs = self.jobs()
        if not jobs:
            return 0
        facts = list(dict.fromkeys(name for job in jobs for name in job.facts))
        console.print(f"\nthe sweep's folder: {_from_here(str(self.plan.folder))}", highlight=False, soft_wrap=True)
        table = Table(title="the sweep's jobs", title_justify="left")
        for head in ("job", "settings", "fate", *facts, "minutes", "where"):
            table.add_column(head, overflow="fold")
        for job in jobs:
            cells = [_shown(job.facts.get(name)) for name in facts]
            minutes = f"{job.seconds / 60:.1f}" if job.seconds else ""
            told = _from_here(job.folder) if job.fate in WELL else _first_line(job.message)
            fate = Text(job.fate, style=COLOURS.get(job.fate, "yellow"))
            table.add_row(str(job.number + 1), Text("\n".join(job.overrides)), fate, *cells, minutes, Text(told))
        console.print(table)
        bad = [job for job in jobs if job.fate not in WELL]
        if bad:
            console.print(
                f"{len(bad)} of {len(jobs)} jobs did not finish; the same command does only what is missing",
                highlight=False,
                soft_wrap=True,
            )
        return max((job.code for job in bad), default=0)

    def _overrides(self, number: int) -> tuple[str, ...]:
        if number < len(self.plan.jobs):
            return self.plan.jobs[number]
        return tuple(HydraConfig.get().overrides.task)

    def _write(self, job: Job) -> None:
        self.files.mkdir(parents=True, exist_ok=True)
        partial = self.files / f".{job.number}.partial"
        partial.write_text(json.dumps(asdict(job), indent=1, default=str))
        partial.replace(self.files / f"{job.number}.json")


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _own_command_line(command: str) -> Iterator[None]:
    """Give a job the arguments that would run it alone, which results keep."""
    swept = sys.argv
    sys.argv = [command, *(_as_typed(text) for text in HydraConfig.get().overrides.task)]
    try:
        yield
    finally:
        sys.argv = swept


def _as_typed(override: str) -> str:
    """Return an override with its interpolations as people write them: Hydra's sweeper escapes their braces."""
    return re.sub(r"\$\\\{(.*?)\\\}", r"${\1}", override)


def _read(path: Path) -> Job:
    values: Mapping[str, Any] = json.loads(path.read_text())
    return Job(**{**values, "overrides": tuple(values["overrides"])})


def _shown(value: object) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def _from_here(folder: str) -> str:
    path = Path(folder)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else folder


def _first_line(message: str) -> str:
    lines: Sequence[str] = message.splitlines() or [""]
    heading = lines[0]
    return f"{heading} {lines[1].strip()}" if heading.endswith(":") and len(lines) > 1 else heading
