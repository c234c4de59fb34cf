"""A command as a Hydra app: mistakes told before anything is done, then the job, or the jobs of a sweep."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from transkd.cli.arguments import OTHER_CONFIG, SHOWS_CONFIG, SWEEPS, config_dirs, has_flag, split_arguments
from transkd.cli.ending import nobody_reads, say
from transkd.cli.mistakes import interpolation_problem, plain, refuse_mistakes, value_problems
from transkd.cli.progress import starting
from transkd.cli.sweep_arguments import environment, quoted
from transkd.errors import ConfigError, TransKDError

if TYPE_CHECKING:
    from transkd.cli.sweeps import Outcome, Sweep


def run_hydra(
    name: str,
    folder: Path,
    config_name: str,
    command: Callable[[dict[str, Any]], Outcome | None],
    check: Callable[[dict[str, Any]], Sequence[object]],
) -> int:
    """Run what the command line says; arguments as in :func:`transkd.cli.app.run_app`.

    Returns:
        The exit code.

    Raises:
        ConfigError: for mistakes in the arguments, all of them.
    """
    flags, overrides = split_arguments(sys.argv[1:])
    sweep: Sweep | None = None
    if not has_flag(flags, "--hydra-help", "--info", "-i"):
        with starting(name):
            refuse_mistakes(folder, config_name, flags, overrides, check)
        if has_flag(flags, *SWEEPS) and not has_flag(flags, *OTHER_CONFIG, *SHOWS_CONFIG):
            sweep = _planned(name, folder, config_name, flags, overrides, check)
    codes: list[int] = []

    def job(config: DictConfig) -> None:
        if sweep is None:
            codes.append(_guarded(name, command, config))
        else:
            sweep.run(lambda: command(_resolved(config)))

    app = hydra.main(version_base="1.3", config_path=str(folder), config_name=config_name)(job)
    if sweep is None:
        # Hydra then lets a closed pipe through, instead of telling it with a traceback.
        with environment(HYDRA_FULL_ERROR="1") if has_flag(flags, *SHOWS_CONFIG) else nullcontext():
            app()
        return max(codes, default=0)
    sys.argv.insert(1, f"hydra.sweep.dir={quoted(str(sweep.plan.folder))}")
    return sweep.launch(app)


def _planned(
    name: str,
    folder: Path,
    config_name: str,
    flags: Sequence[str],
    overrides: Sequence[str],
    check: Callable[[dict[str, Any]], Sequence[object]],
) -> Sweep:
    from transkd.cli.sweep_plan import plan_sweep
    from transkd.cli.sweeps import Sweep

    dirs = config_dirs(flags)
    checked = partial(value_problems, check=check)
    return Sweep(name, plan_sweep(folder, config_name, overrides, further_folders=dirs, check=checked))


def _guarded(name: str, command: Callable[[dict[str, Any]], Outcome | None], config: DictConfig) -> int:
    try:
        command(_resolved(config))
    except TransKDError as error:
        return say(name, error)
    except BrokenPipeError:  # which Hydra would tell with a traceback
        return nobody_reads()
    return 0


def _resolved(config: DictConfig) -> dict[str, Any]:
    try:
        return plain(config)
    except OmegaConfBaseException as error:
        raise ConfigError(f"the config has a mistake:\n  {interpolation_problem(error)}") from error
