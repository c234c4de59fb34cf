"""What a sweep is going to do: its folder and its jobs, known before the first one starts."""

from __future__ import annotations

from collections.abc import Sequence
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

from transkd.cli.compose import composing
from transkd.cli.sweep_mistakes import Check, PlannedJob, composed_jobs, refuse_swept_hydra, refuse_unknown_params
from transkd.errors import ConfigError

LAUNCHERS = {
    "joblib": "several jobs at once on this machine",
    "submitit_local": "jobs as processes of submitit",
    "submitit_slurm": "jobs on a SLURM cluster",
}
BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


@dataclass(frozen=True)
class SweepPlan:
    """A sweep before it starts.

    Attributes:
        folder: where the fates of its jobs are written.
        jobs: each job's values of the swept keys, as ``key=value``; empty where the sweeper chooses them as it goes.
    """

    folder: Path
    jobs: tuple[tuple[str, ...], ...]


def plan_sweep(
    name: str,
    overrides: Sequence[str],
    *,
    further_folders: Sequence[Path] = (),
    check: Check | None = None,
) -> SweepPlan:
    """Work out the jobs of a sweep, and refuse those with mistakes, and two that would write into one folder.

    Args:
        name: the command, such as ``"transkd-train"``.
        overrides: the command line's, each one checked already.
        further_folders: the user's own configs.
        check: lists what is wrong with a job's config.

    Raises:
        ConfigError: for a launcher that is not installed, for swept keys and choices that do not exist, for jobs whose
            values do not fit, or for jobs that share their ``output``.
    """
    path = [f"hydra.searchpath=[{','.join(f'file://{further}' for further in further_folders)}]"]
    path = path if further_folders else []
    with composing(name) as config_name:
        parsed = _parser().parse_overrides(list(overrides))
        refuse_swept_hydra(parsed)
        hydra = _hydra_config(config_name, [*path, *(str(o.input_line) for o in parsed if not o.is_sweep_override())])
    ours = [override for override in parsed if not override.is_hydra_override()]
    if hydra.sweeper._target_ != BASIC_SWEEPER:
        return SweepPlan(Path(hydra.sweep.dir).absolute(), ())
    given = {override.get_key_element().lstrip("+") for override in ours}
    params = {str(key): str(values) for key, values in (hydra.sweeper.get("params") or {}).items()}
    left = {key: values for key, values in params.items() if key.lstrip("+") not in given}
    if left:
        refuse_unknown_params(name, overrides, left, further_folders)
    with composing(name) as config_name:
        swept = _parser().parse_overrides([f"{key}={values}" for key, values in params.items()])
        jobs = _jobs([*swept, *ours])
        if not jobs:
            raise ConfigError("the sweep has no jobs: one of its keys has no value, such as range(0,0)")
        keys = {key for key in map(_key, jobs[0]) if len({_value(job, key) for job in jobs}) > 1}
        shown = [tuple(text.lstrip("+") for text in job if _key(text) in keys) for job in jobs]
        _refuse_shared_folders(composed_jobs(config_name, path, list(zip(jobs, shown, strict=True)), check))
    return SweepPlan(Path(hydra.sweep.dir).absolute(), tuple(shown))


def _parser() -> OverridesParser:
    return OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())


def _hydra_config(config_name: str, overrides: Sequence[str]) -> DictConfig:
    try:
        config = compose(config_name, list(overrides), return_hydra_config=True)
    except HydraException as error:
        launcher = next((o.split("=", 1)[1] for o in overrides if o.startswith("hydra/launcher=")), None)
        if launcher is not None and f"hydra/launcher/{launcher}" in str(error):
            installs = f"{LAUNCHERS[launcher]} need: pip install 'transkd[sweep]'" if launcher in LAUNCHERS else ""
            raise ConfigError(
                f"hydra/launcher={launcher}: there is no such launcher; "
                + (installs or f"known: basic, {', '.join(LAUNCHERS)}")
            ) from error
        raise ConfigError(" ".join(str(error).split())) from error
    assert isinstance(config.hydra, DictConfig)
    return config.hydra


def _jobs(overrides: Sequence[Override]) -> list[list[str]]:
    return [job for batch in BasicSweeper.split_arguments(list(overrides), None) for job in batch]


def _refuse_shared_folders(jobs: Sequence[PlannedJob]) -> None:
    """Raise a ConfigError where two jobs have one ``output``; says which keys its name leaves out."""
    taken: dict[str, PlannedJob] = {}
    for job in jobs:
        output = _output(job.config)
        if output is None or output not in taken:
            taken |= {} if output is None else {output: job}
            continue
        differing = [_key(text).lstrip("+") for text in job.overrides if text not in taken[output].overrides]
        if not differing:
            raise ConfigError(
                f"jobs of this sweep share the folder {output}, and are the same: leave out what is given twice"
            )
        raise ConfigError(
            f"jobs of this sweep share the folder {output}: its name says nothing of {', '.join(differing)}. "
            f"Give each its own, such as '{_telling_name(job.config, differing)}'"
        )


def _output(config: DictConfig) -> str | None:
    try:
        return None if OmegaConf.select(config, "output") is None else str(config.output)
    except OmegaConfBaseException:
        return None  # the job itself says what is wrong with it


def _telling_name(config: DictConfig, keys: Sequence[str]) -> str:
    """Return the override that lets a run's folder say the values of these keys too."""
    written = {key: str(config._get_node(key)) for key in ("name", "output") if key in config}
    named = "name" if "${name}" in written["output"] else "output"
    return f"{named}={written[named]}{''.join(f'-${{{_telling_key(config, key)}}}' for key in keys)}"


def _telling_key(config: DictConfig, key: str) -> str:
    """Return the key, or of a group the one that names its choice."""
    section = OmegaConf.select(config, key)
    if not isinstance(section, DictConfig):
        return key
    return next((f"{key}.{inner}" for inner in ("name", "backbone", "recipe") if inner in section), key)


def _key(text: str) -> str:
    return text.partition("=")[0]


def _value(job: Sequence[str], key: str) -> str | None:
    return next((text for text in job if _key(text) == key), None)
