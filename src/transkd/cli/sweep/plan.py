"""What a sweep is going to do: its folder and its jobs, with their mistakes, before the first one starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from transkd.cli.arguments import users_form
from transkd.cli.compose import composing
from transkd.cli.mistakes import find_mistakes, listed, missing_keys, search_path
from transkd.errors import ConfigError

LAUNCHERS = {
    "joblib": "several jobs at once on this machine",
    "submitit_local": "jobs as processes of submitit",
    "submitit_slurm": "jobs on a SLURM cluster",
}
BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"

Check = Callable[[DictConfig], Sequence[object]]
"""Lists what is wrong with a composed config."""


@dataclass(frozen=True)
class SweepPlan:
    """A sweep before it starts.

    Attributes:
        folder: where what became of its jobs is written.
        jobs: each job's values of the swept keys, as ``key=value``; empty where the sweeper chooses them as it goes.
    """

    folder: Path
    jobs: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class PlannedJob:
    """A job before it starts: its values of the swept keys, and the config that all its overrides compose."""

    swept: tuple[str, ...]
    config: DictConfig


def plan_sweep(
    name: str, overrides: Sequence[str], *, further_folders: Sequence[Path] = (), check: Check | None = None
) -> SweepPlan:
    """Return the folder and the jobs of a sweep.

    Args:
        name: the command, such as ``"transkd-train"``.
        overrides: the command line's, each one checked already.
        further_folders: the user's own configs.
        check: lists what is wrong with a job's config.

    Raises:
        ConfigError: for a launcher that is not installed, for swept keys and choices that do not exist, for jobs whose
            values do not fit, or for jobs that share their ``output``.
    """
    path = search_path(further_folders)
    with composing(name) as primary:
        parsed = _parser().parse_overrides(list(overrides))
        _refuse_swept_hydra(parsed)
        fixed = [str(override.input_line) for override in parsed if not override.is_sweep_override()]
        hydra = _hydra_config(primary, [*path, *fixed])
    folder = Path(hydra.sweep.dir).absolute()
    if hydra.sweeper._target_ != BASIC_SWEEPER:
        return SweepPlan(folder, ())
    ours = [override for override in parsed if not override.is_hydra_override()]
    given = {override.get_key_element().lstrip("+") for override in ours}
    params = {str(key): str(values) for key, values in (hydra.sweeper.get("params") or {}).items()}
    if left := {key: values for key, values in params.items() if key.lstrip("+") not in given}:
        _refuse_unknown_params(name, overrides, left, further_folders)
    with composing(name) as primary:
        swept = _parser().parse_overrides([f"{key}={values}" for key, values in params.items()])
        jobs = _jobs([*swept, *ours])
        if not jobs:
            raise ConfigError("the sweep has no jobs: one of its keys has no value, such as range(0,0)")
        keys = {key for key in map(_key, jobs[0]) if len({_value(job, key) for job in jobs}) > 1}
        shown = [tuple(text.lstrip("+") for text in job if _key(text) in keys) for job in jobs]
        _refuse_shared_folders(_composed_jobs(primary, path, jobs, shown, check))
    return SweepPlan(folder, tuple(shown))


def _parser() -> OverridesParser:
    return OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())


def _hydra_config(primary: str, overrides: Sequence[str]) -> DictConfig:
    try:
        config = compose(primary, list(overrides), return_hydra_config=True)
    except HydraException as error:
        launcher = next((o.partition("=")[2] for o in overrides if o.startswith("hydra/launcher=")), None)
        if launcher is None or f"hydra/launcher/{launcher}" not in str(error):
            raise ConfigError(" ".join(str(error).split())) from error
        hint = f"known: basic, {', '.join(LAUNCHERS)}"
        if launcher in LAUNCHERS:
            hint = f"{LAUNCHERS[launcher]} need: pip install 'transkd[sweep]'"
        raise ConfigError(f"hydra/launcher={launcher}: there is no such launcher; {hint}") from error
    assert isinstance(config.hydra, DictConfig)
    return config.hydra


def _jobs(overrides: Sequence[Override]) -> list[list[str]]:
    return [job for batch in BasicSweeper.split_arguments(list(overrides), None) for job in batch]


def _refuse_swept_hydra(overrides: Sequence[Override]) -> None:
    """Refuse several values of one of Hydra's own settings, which are those of the whole sweep."""
    lines = []
    for override in overrides:
        if override.is_hydra_override() and override.is_sweep_override():
            text = str(override.input_line)
            own = text.lstrip("+").removeprefix("hydra.sweeper.params.")
            hint = f"write {own}" if not own.startswith("hydra") else "give one value"
            lines.append(f"{text}: Hydra's own settings are the same for all jobs; {hint}")
    _refuse(lines)


def _refuse_unknown_params(
    name: str, overrides: Sequence[str], params: Mapping[str, str], further_folders: Sequence[Path]
) -> None:
    """Refuse keys and choices that do not exist in ``hydra.sweeper.params``, as those of the command line are."""
    arguments = users_form([*overrides, *(f"{key}={values}" for key, values in params.items())])
    found = find_mistakes(name, arguments, further_folders=further_folders, sweeps=True)
    _refuse([f"hydra.sweeper.params: {problem}" for problem in found.problems])


def _composed_jobs(
    primary: str,
    path: Sequence[str],
    jobs: Sequence[Sequence[str]],
    shown: Sequence[tuple[str, ...]],
    check: Check | None,
) -> list[PlannedJob]:
    """Compose each job and check its config; all mistakes are listed once, each with its first job."""
    planned: list[PlannedJob] = []
    wrong: dict[str, list[str]] = {}
    for number, (overrides, swept) in enumerate(zip(jobs, shown, strict=True), 1):
        try:
            config = compose(primary, [*path, *overrides])
            problems = [f"{key}: is missing" for key in missing_keys(config)]
            problems += [str(problem) for problem in (check(config) if check else ())]
            planned.append(PlannedJob(swept, config))
        except (HydraException, OmegaConfBaseException) as error:
            problems = [" ".join(str(error).split())]
        for problem in dict.fromkeys(problems):
            wrong.setdefault(problem, []).append(f"job {number} ({' '.join(swept)})" if swept else f"job {number}")
    more = {problem: f" and {len(in_jobs) - 1} more" if in_jobs[1:] else "" for problem, in_jobs in wrong.items()}
    _refuse([f"{problem}, in {in_jobs[0]}{more[problem]}" for problem, in_jobs in wrong.items()])
    return planned


def _refuse(lines: Sequence[str]) -> None:
    if lines:
        raise ConfigError(listed(lines, "in the sweep"))


def _refuse_shared_folders(jobs: Sequence[PlannedJob]) -> None:
    """Refuse two jobs with one ``output``; the message names the keys that its name leaves out."""
    taken: dict[str, PlannedJob] = {}
    for job in jobs:
        try:
            output = OmegaConf.select(job.config, "output")
        except OmegaConfBaseException:
            continue  # the job itself reports it
        other = taken.setdefault(str(output), job) if output is not None else job
        if other is job:
            continue
        differing = [_key(text) for text in job.swept if text not in other.swept]
        if not differing:
            raise ConfigError(
                f"jobs of this sweep share the folder {output}, and are the same: leave out what is given twice"
            )
        raise ConfigError(
            f"jobs of this sweep share the folder {output}: its name says nothing of {', '.join(differing)}. "
            f"Give each its own, such as '{_distinct_name(job.config, differing)}'"
        )


def _distinct_name(config: DictConfig, keys: Sequence[str]) -> str:
    """Return the override that puts the values of these keys into the name of a run's folder."""
    written = {key: str(config._get_node(key)) for key in ("name", "output") if key in config}
    named = "name" if "${name}" in written["output"] else "output"
    return f"{named}={written[named]}{''.join(f'-${{{_naming_key(config, key)}}}' for key in keys)}"


def _naming_key(config: DictConfig, key: str) -> str:
    """Return the key, or of a group the one that names its choice."""
    section = OmegaConf.select(config, key)
    if not isinstance(section, DictConfig):
        return key
    return next((f"{key}.{inner}" for inner in ("name", "backbone", "recipe") if inner in section), key)


def _key(text: str) -> str:
    return text.partition("=")[0]


def _value(job: Sequence[str], key: str) -> str | None:
    return next((text for text in job if _key(text) == key), None)
