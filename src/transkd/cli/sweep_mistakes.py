"""What is wrong with the jobs of a sweep, all of them, before the first one starts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import compose
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from transkd.cli.arguments import users_form
from transkd.cli.overrides import check_overrides
from transkd.errors import ConfigError

Check = Callable[[DictConfig], Sequence[object]]
"""Lists what is wrong with a composed config."""


@dataclass(frozen=True)
class PlannedJob:
    """A job before it starts.

    Attributes:
        overrides: all of them, those of the sweep's file too.
        swept: its values of the swept keys.
        config: what they compose.
    """

    overrides: tuple[str, ...]
    swept: tuple[str, ...]
    config: DictConfig


def refuse_swept_hydra(overrides: Sequence[Override]) -> None:
    """Refuse several values of one of Hydra's own settings, which are those of the whole sweep.

    Raises:
        ConfigError: naming them.
    """
    lines = []
    for override in overrides:
        if override.is_hydra_override() and override.is_sweep_override():
            text = str(override.input_line)
            own = text.lstrip("+").removeprefix("hydra.sweeper.params.")
            hint = f"write {own}" if not own.startswith("hydra") else "give one value"
            lines.append(f"{text}: Hydra's own settings are the same for all jobs; {hint}")
    _refuse(lines)


def refuse_unknown_params(
    name: str,
    overrides: Sequence[str],
    params: Mapping[str, str],
    further_folders: Sequence[Path],
) -> None:
    """Refuse keys and choices that do not exist in ``hydra.sweeper.params``, as such of the command line are refused.

    Args:
        name: the command.
        overrides: the command line's, which are right.
        params: key -> values, those that the command line leaves to the sweep.
        further_folders: the user's own configs.

    Raises:
        ConfigError: naming them all.
    """
    theirs = [f"{key}={values}" for key, values in params.items()]
    arguments = users_form([*overrides, *theirs])
    checked = check_overrides(name, arguments, further_folders=further_folders, sweeps=True)
    _refuse([f"hydra.sweeper.params: {problem}" for problem in checked.problems])


def composed_jobs(
    config_name: str, path: Sequence[str], jobs: Sequence[tuple[Sequence[str], tuple[str, ...]]], check: Check | None
) -> list[PlannedJob]:
    """Compose each job, and check what it composes.

    Args:
        config_name: the primary config.
        path: Hydra's search path, as overrides.
        jobs: the overrides of each, all and those that are swept.
        check: of a job's config.

    Raises:
        ConfigError: for jobs that do not compose or have mistakes, each mistake once.
    """
    planned: list[PlannedJob] = []
    wrong: dict[str, list[str]] = {}
    for number, (overrides, swept) in enumerate(jobs, 1):
        place = f"job {number} ({' '.join(swept)})" if swept else f"job {number}"
        try:
            config = compose(config_name, [*path, *overrides])
            problems = [f"{key}: is missing" for key in sorted(OmegaConf.missing_keys(config))]
            problems += [str(problem) for problem in (check(config) if check else ())]
        except (HydraException, OmegaConfBaseException) as error:
            problems = [_said(error)]
        else:
            planned.append(PlannedJob(tuple(overrides), swept, config))
        for problem in dict.fromkeys(problems):
            wrong.setdefault(problem, []).append(place)
    _refuse([f"{problem}, in {_some(places)}" for problem, places in wrong.items()])
    return planned


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    missing = re.search(r"Missing mandatory value: (\S+)", text)
    return f"{missing[1]}: is missing" if missing else text


def _some(places: Sequence[str]) -> str:
    more = len(places) - 1
    return places[0] if not more else f"{places[0]} and {more} more"


def _refuse(lines: Sequence[str]) -> None:
    if lines:
        count = "is a mistake" if len(lines) == 1 else f"are {len(lines)} mistakes"
        raise ConfigError("\n".join([f"there {count} in the sweep:", *(f"  {line}" for line in lines)]))
