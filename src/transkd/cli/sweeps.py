"""A sweep's jobs and their fates: a file a job, so that they outlive processes and machines, and a table at the end."""

from __future__ import annotations

import json
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from rich.console import Console

from transkd.cli.sweep_arguments import environment, own_command_line
from transkd.cli.sweep_jobs import WELL, Job, Outcome
from transkd.cli.sweep_plan import SweepPlan
from transkd.cli.sweep_table import WIDE, print_jobs
from transkd.errors import ConfigError, TransKDError

__all__ = ["Job", "Outcome", "Sweep", "in_sweep", "sweep_name"]


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
            with own_command_line(self.command):
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
            message = f"{_in_a_line(error)} (all of it: {log})"
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
        self._forget_earlier()
        try:
            with environment(HYDRA_FULL_ERROR="1"):  # Hydra raises what ends a launcher, instead of printing it
                app()
        except SystemExit as end:
            code = end.code
        except KeyboardInterrupt:
            code = 130
        except Exception as error:  # a launcher's worker that was killed; its job is one that was cut off
            print(f"{self.command}: {_in_a_line(error)}", file=sys.stderr, flush=True)
            code = 1
        return max(self.tell(), code if isinstance(code, int) else int(code is not None))

    def jobs(self) -> list[Job]:
        """Return every job that was planned or started, in order."""
        found = {job.number: job for job in map(_read, self.files.glob("*.json")) if job is not None}
        planned = {number: Job(number, overrides) for number, overrides in enumerate(self.plan.jobs)}
        return [job for _, job in sorted((planned | found).items())]

    def tell(self, console: Console | None = None) -> int:
        """Print the table of jobs and fates.

        Returns:
            The sweep's exit code: 0 if all went well, else the largest of its jobs'.
        """
        jobs = self.jobs()
        if jobs:
            print_jobs(self.plan.folder, jobs, console or Console(width=None if sys.stdout.isatty() else WIDE))
        return max((job.code for job in jobs if job.fate not in WELL), default=0)

    def _forget_earlier(self) -> None:
        """Remove what an earlier sweep wrote into a folder that was named by ``hydra.sweep.dir``.

        Raises:
            ConfigError: if the folder cannot be written.
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

    def _overrides(self, number: int) -> tuple[str, ...]:
        if number < len(self.plan.jobs):
            return self.plan.jobs[number]
        return tuple(HydraConfig.get().overrides.task)

    def _write(self, job: Job) -> None:
        self.files.mkdir(parents=True, exist_ok=True)
        partial = self.files / f".{job.number}.partial"
        partial.write_text(json.dumps(asdict(job), indent=1, default=str))
        partial.replace(self.files / f"{job.number}.json")


def _read(path: Path) -> Job | None:
    """Return the job that a file tells of, None where it was damaged: that job counts as one that did not start."""
    try:
        values: Mapping[str, Any] = json.loads(path.read_text())
        return Job(**{**values, "overrides": tuple(values["overrides"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _in_a_line(error: Exception) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
