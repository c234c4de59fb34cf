"""Sweeps: the jobs of one command, checked before the first starts, and what became of each.

What becomes of a job is a file in the sweep's folder, which outlives its process; all of them are a table at the end.
"""

from __future__ import annotations

import json
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.table import Table
from rich.text import Text

from transkd.cli.compose import composing
from transkd.cli.mistakes import missing_keys, value_problems
from transkd.cli.progress import output
from transkd.errors import ConfigError, TransKDError, first_line
from transkd.files import write_text
from transkd.options import mistakes

BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
IN_SWEEP = "in the sweep"
Fate = Literal["done", "done before", "failed", "stopped", "cut off", "not started"]
FINISHED: tuple[Fate, ...] = ("done", "done before")
COLOURS: dict[Fate, str] = {"done": "green", "done before": "green", "failed": "red"}


def plan_sweep(name: str, overrides: Sequence[str], *, config_dir: str | None = None) -> Sweep:
    """Return a sweep of a command, its folder and its jobs, all of them checked.

    Raises:
        ConfigError: for a launcher that is not installed, for swept keys and choices that do not exist, for jobs whose
            values do not fit, or for jobs that share their ``output``.
    """
    with composing(name, config_dir) as primary:
        parsed = _parsed(overrides)
        if swept := [one for one in parsed if one.is_hydra_override() and one.is_sweep_override()]:
            raise ConfigError(f"{swept[0].input_line}: Hydra's own settings are the same for all jobs; give one value")
        hydra = _hydra_config(primary, [str(one.input_line) for one in parsed if not one.is_sweep_override()])
    folder = Path(hydra.sweep.dir).absolute()
    if hydra.sweeper._target_ != BASIC_SWEEPER:
        return Sweep(name, folder, ())
    params = [f"{key}={values}" for key, values in (hydra.sweeper.get("params") or {}).items()]
    with composing(name, config_dir) as primary:
        overridden = [*_parsed(params), *(one for one in parsed if not one.is_hydra_override())]
        jobs = [job for batch in BasicSweeper.split_arguments(overridden, None) for job in batch]
        if not jobs:
            raise ConfigError("the sweep has no jobs: one of its keys has no value, such as range(0,0)")
        own = [tuple(text.lstrip("+") for text in job if any(text not in other for other in jobs)) for job in jobs]
        _check_jobs(name, primary, jobs, own)
    return Sweep(name, folder, tuple(own))


def _parsed(overrides: Sequence[str]) -> list[Override]:
    loader = GlobalHydra.instance().config_loader()
    return OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))


def _hydra_config(primary: str, overrides: Sequence[str]) -> DictConfig:
    try:
        config = compose(primary, list(overrides), return_hydra_config=True)
    except HydraException as error:
        launchers = [text for text in overrides if text.startswith("hydra/launcher=")]
        if launchers and "hydra/launcher/" in str(error):
            hint = "; joblib, submitit_local and submitit_slurm need: pip install 'transkd[sweep]'"
            raise ConfigError(f"{launchers[-1]}: there is no such launcher{hint}") from error
        raise ConfigError(" ".join(str(error).split())) from error
    assert isinstance(config.hydra, DictConfig)
    return config.hydra


def _check_jobs(name: str, primary: str, jobs: Sequence[Sequence[str]], swept: Sequence[tuple[str, ...]]) -> None:
    """Compose each job and check its config; all mistakes are listed once, each with its first job.

    Raises:
        ConfigError: for a mistake, or for two jobs with one ``output``.
    """
    wrong: dict[str, list[str]] = {}
    folders: dict[str, int] = {}
    shared: list[str] = []
    for index, (overrides, own) in enumerate(zip(jobs, swept, strict=True)):
        problems: list[object] = []
        try:
            config = compose(primary, list(overrides))
            problems += [*(f"{key}: is missing" for key in missing_keys(config)), *value_problems(name, config)]
            folder = OmegaConf.select(config, "output")
            other = folders.setdefault(folder, index) if folder is not None else index
            if other != index:
                shared.append(_shared_folder(config, [_key(text) for text in own if text not in swept[other]]))
        except (HydraException, OmegaConfBaseException) as error:
            problems += [] if problems else [" ".join(str(error).split())]
        for problem in dict.fromkeys(map(str, problems)):
            wrong.setdefault(problem, []).append(f"job {index + 1} ({' '.join(own)})" if own else f"job {index + 1}")
    if wrong:
        more = {problem: f" and {len(found) - 1} more" if found[1:] else "" for problem, found in wrong.items()}
        raise ConfigError(mistakes([f"{what}, in {found[0]}{more[what]}" for what, found in wrong.items()], IN_SWEEP))
    if shared:
        raise ConfigError(shared[0])


def _shared_folder(config: DictConfig, keys: Sequence[str]) -> str:
    """Return what to do where two jobs have one ``output``, and differ by these keys."""
    what = f"jobs of this sweep share the folder {config.output}"
    if not keys:
        return f"{what}, and are the same: leave out what is given twice"
    ends = ("name", "backbone", "recipe")
    names = [[f"{key}.{end}" for end in ends if OmegaConf.select(config, f"{key}.{end}") is not None] for key in keys]
    ending = "".join(f"-${{{(found or [key])[0]}}}" for key, found in zip(keys, names, strict=True))
    return f"{what}: its name says nothing of {', '.join(keys)}. Add {ending} to its name=… or output=…"


def _key(text: str) -> str:
    return text.lstrip("+").partition("=")[0]


@dataclass(frozen=True)
class Job:
    """One job of a sweep and what became of it: ``"cut off"`` is what a job leaves that was killed."""

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


@dataclass
class Sweep:
    """The jobs of one sweep, and the folder where what became of them is written.

    What is planned are each job's values of the swept keys, ``key=value``; empty where the sweeper chooses as it goes.
    """

    command: str
    folder: Path
    planned: tuple[tuple[str, ...], ...]

    @property
    def files(self) -> Path:
        """The folder of a file for each job."""
        return self.folder / "jobs"

    def run(self, action: Callable[[], Mapping[str, Any] | None]) -> None:
        """Run one job, and write what becomes of it; only a stop by a signal ends the sweep.

        The action may return the fate, folder and scores of a :class:`Job` that ended well.
        """
        number = int(HydraConfig.get().job.num)
        planned = self.planned[number : number + 1]
        job = Job(number, planned[0] if planned else tuple(HydraConfig.get().overrides.task), "cut off")
        self._write(job)
        of = f" of {len(self.planned)}" if self.planned else ""
        print(f"\njob {number + 1}{of}: {' '.join(job.overrides)}", flush=True)
        started = time.monotonic()
        changes: dict[str, Any] = {}
        try:
            with _own_command_line(self.command):
                changes = {"fate": "done", **(action() or {}), "code": 0}
        except SystemExit as stop:
            changes = {"fate": "stopped", "message": "stopped by a signal; the same sweep resumes it"}
            changes["code"] = stop.code if isinstance(stop.code, int) else 1
            raise
        except Exception as error:
            message = str(error)
            if not isinstance(error, TransKDError):
                log = self.files / f"{number}.log"
                log.write_text(traceback.format_exc())
                message = f"{type(error).__name__}: {first_line(error)} (traceback: {log})"
            print(f"{self.command}: {message}", file=sys.stderr, flush=True)
            changes = {"fate": "failed", "message": message, "code": 2 if isinstance(error, ConfigError) else 1}
        finally:
            self._write(Job(**{**asdict(job), "seconds": time.monotonic() - started, **changes}))

    def launch(self, app: Callable[[], Any]) -> int:
        """Run all jobs by Hydra's main function, print what became of them, and return the sweep's exit code.

        Raises:
            ConfigError: the sweep's folder cannot be written.
        """
        try:
            self.files.mkdir(parents=True, exist_ok=True)
            for path in self.files.iterdir():
                if re.fullmatch(r"\d+\.(json|log)", path.name):  # an earlier sweep's, in a folder given by name
                    path.unlink()
        except OSError as error:
            raise ConfigError(
                f"the sweep's folder {self.folder} cannot be written ({error.strerror}): choose another by "
                "hydra.sweep.dir=…"
            ) from error
        code: object = 0
        try:
            app()
        except SystemExit as end:
            code = end.code
        except KeyboardInterrupt:
            code = 130
        except Exception as error:  # a launcher's worker that was killed; its job is one that was cut off
            print(f"{self.command}: {type(error).__name__}: {first_line(error)}", file=sys.stderr, flush=True)
            code = 1
        return max(self.print_jobs(), code if isinstance(code, int) else int(code is not None))

    def jobs(self) -> list[Job]:
        """Return every job that was planned or started, in order."""
        jobs = {number: Job(number, overrides) for number, overrides in enumerate(self.planned)}
        for path in self.files.glob("*.json"):
            try:
                values = json.loads(path.read_text())
                jobs[values["number"]] = Job(**{**values, "overrides": tuple(values["overrides"])})
            except (OSError, ValueError, KeyError, TypeError):
                continue  # damaged: that job counts as one that did not start
        return [job for _, job in sorted(jobs.items())]

    def print_jobs(self) -> int:
        """Print a table with a row for each job; return 0 if all finished, else the largest of their exit codes."""
        jobs = self.jobs()
        if not jobs:
            return 0
        names = list(dict.fromkeys(name for job in jobs for name in job.scores))
        print(f"\nthe sweep's folder: {_from_here(self.folder)}", flush=True)
        table = Table(title="the sweep's jobs", title_justify="left")
        for heading in ("job", "settings", "fate", *names, "minutes", "where"):
            table.add_column(heading, overflow="fold")
        for job in jobs:
            values = [job.scores.get(name) for name in names]
            scores = ["" if v is None else f"{v:.2f}" if isinstance(v, float) else str(v) for v in values]
            minutes = f"{job.seconds / 60:.1f}" if job.seconds else ""
            where = _from_here(Path(job.folder)) if job.fate in FINISHED else " ".join(job.message.split())
            fate = Text(job.fate, style=COLOURS.get(job.fate, "yellow"))
            table.add_row(str(job.number + 1), Text("\n".join(job.overrides)), fate, *scores, minutes, Text(where))
        output().print(table)
        unfinished = [job for job in jobs if job.fate not in FINISHED]
        if unfinished:
            print(f"{len(unfinished)} of {len(jobs)} jobs did not finish; the same command does only what is missing")
        return max((job.code for job in unfinished), default=0)

    def _write(self, job: Job) -> None:
        self.files.mkdir(parents=True, exist_ok=True)
        write_text(self.files / f"{job.number}.json", json.dumps(asdict(job), indent=1, default=str))


@contextmanager
def _own_command_line(command: str) -> Iterator[None]:
    """Let ``sys.argv`` be the command that would run this job alone, which results keep."""
    swept, hydra = sys.argv, HydraConfig.get()
    # Hydra's sweeper escapes the braces of interpolations.
    overrides = [re.sub(r"\$\\\{(.*?)\\\}", r"${\1}", text) for text in hydra.overrides.task]
    sweep = ["-m"] if any(_key(text) == "sweep" for text in overrides) else []  # what else it sets
    dirs = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
    sys.argv = [command, *sweep, *(f"--config-dir={folder}" for folder in dirs), *overrides]
    try:
        yield
    finally:
        sys.argv = swept


def _from_here(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
