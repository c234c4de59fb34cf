"""What a sweep is going to do: its folder and its jobs, known before the first one starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

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
    folder: Path, config_name: str, overrides: Sequence[str], *, further_folders: Sequence[Path] = ()
) -> SweepPlan:
    """Work out the jobs of a sweep, and refuse two that would write into one folder.

    Args:
        folder: the config groups.
        config_name: the primary config.
        overrides: the command line's, each one checked already.
        further_folders: the user's own configs.

    Raises:
        ConfigError: for a launcher that is not installed, or for jobs that share their ``output``.
    """
    path = [f"hydra.searchpath=[{','.join(f'file://{further}' for further in further_folders)}]"]
    path = path if further_folders else []
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(folder), version_base="1.3"):
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        parsed = parser.parse_overrides(list(overrides))
        ours = [override for override in parsed if not override.is_hydra_override()]
        fixed = [*path, *(str(o.input_line) for o in parsed if not o.is_sweep_override())]
        hydra = _hydra_config(config_name, fixed)
        swept = parser.parse_overrides([f"{key}={value}" for key, value in (hydra.sweeper.get("params") or {}).items()])
        jobs = _jobs([*swept, *ours]) if hydra.sweeper._target_ == BASIC_SWEEPER else []
        _refuse_shared_folders(config_name, path, jobs)
    keys = {key for key in map(_key, jobs[0]) if len({_value(job, key) for job in jobs}) > 1} if jobs else set()
    return SweepPlan(
        Path(hydra.sweep.dir).absolute(),
        tuple(tuple(text.lstrip("+") for text in job if _key(text) in keys) for job in jobs),
    )


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


def _refuse_shared_folders(config_name: str, path: Sequence[str], jobs: Sequence[Sequence[str]]) -> None:
    """Raise a ConfigError where two jobs have one ``output``; says which keys its name leaves out."""
    taken: dict[str, Sequence[str]] = {}
    for job in jobs:
        output = _output(config_name, [*path, *job])
        if output is None:
            continue
        if output not in taken:
            taken[output] = job
            continue
        differing = [_key(text).lstrip("+") for text in job if text not in taken[output]]
        raise ConfigError(
            f"jobs of this sweep share the folder {output}: its name says nothing of {', '.join(differing)}. "
            f"Give each its own, such as '{_telling_name(compose(config_name, [*path, *job]), differing)}'"
        )


def _output(config_name: str, overrides: Sequence[str]) -> str | None:
    try:
        config = compose(config_name, list(overrides))
        return None if OmegaConf.select(config, "output") is None else str(config.output)
    except (HydraException, OmegaConfBaseException):
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
