"""Every mistake of a command line in one message: in its options, its ``key=value`` arguments and their values."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from transkd.cli.arguments import OTHER_CONFIG, SHOWS_CONFIG, SWEEPS, config_dirs, flag_problems, has_flag
from transkd.cli.overrides import check_overrides
from transkd.errors import ConfigError


def refuse_mistakes(
    name: str,
    flags: Sequence[str],
    overrides: Sequence[str],
    check: Callable[[dict[str, Any]], Sequence[object]],
) -> dict[str, Any] | None:
    """Check a command line, and the config that it composes.

    Args:
        name: the command, such as ``"transkd-train"``.
        flags: the command line's options, as ``split_arguments`` gives them.
        overrides: its ``key=value`` arguments.
        check: lists what is wrong with the values of a composed config.

    Returns:
        The values that were checked; None where they are known in the run only, or another config is shown.

    Raises:
        ConfigError: listing all that is wrong.
    """
    checked_values: dict[str, Any] | None = None
    for further in config_dirs(flags):
        if not further.is_dir():
            raise ConfigError(f"--config-dir: there is no folder {further}")
    problems: list[object] = []
    if wrong := list(flag_problems(flags)):
        raise _mistakes(wrong)  # at once: a mistyped --help asks for no check of anything else
    if not has_flag(flags, *OTHER_CONFIG):  # another primary config than ours: Hydra says what is wrong with it
        sweeps = has_flag(flags, *SWEEPS)
        checked = check_overrides(name, overrides, further_folders=config_dirs(flags), sweeps=sweeps)
        problems += checked.problems
        if not has_flag(flags, *SHOWS_CONFIG):
            problems += [f"{key}: is missing" for key in checked.missing]
            if checked.config is not None:
                problems += value_problems(checked.config, check)
                checked_values = None if problems else _values(checked.config)
    if problems:
        raise _mistakes(_without_echoes([str(problem) for problem in problems]))
    return checked_values


def plain(config: DictConfig) -> dict[str, Any]:
    """Return a config in plain containers, its interpolations resolved.

    Raises:
        OmegaConfBaseException: one of them cannot be.
    """
    values = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def resolved(config: DictConfig) -> dict[str, Any]:
    """Return a config in plain containers.

    Raises:
        ConfigError: one of its interpolations cannot be resolved.
    """
    try:
        return plain(config)
    except OmegaConfBaseException as error:
        raise ConfigError(f"the config has a mistake:\n  {interpolation_problem(error)}") from error


def _values(config: DictConfig) -> dict[str, Any] | None:
    """Return a config's values; None where some are known in a run only."""
    return None if "${hydra:" in OmegaConf.to_yaml(config) else plain(config)


def interpolation_problem(error: OmegaConfBaseException) -> str:
    """Say in a line which key could not be resolved, and why."""
    text = str(error).splitlines()[0]
    named = re.search(r"Interpolation key '(.*)' not found", text)
    return f"{error.full_key}: {f'it refers to {named[1]}, which does not exist' if named else text}"


def _mistakes(problems: Sequence[str]) -> ConfigError:
    lines = dict.fromkeys(f"  {text}" for text in problems)
    count = "is a mistake" if len(lines) == 1 else f"are {len(lines)} mistakes"
    return ConfigError("\n".join([f"there {count} in the arguments:", *lines]))


def _without_echoes(problems: Sequence[str]) -> list[str]:
    """Leave out that a group is missing where the choice that was made of it does not exist."""
    wrong = {text.partition("=")[0].lstrip("+") for text in problems if ": there is no such choice" in text}
    return [text for text in problems if not (": is missing" in text and text.partition(":")[0] in wrong)]


def value_problems(config: DictConfig, check: Callable[[dict[str, Any]], Sequence[object]]) -> Sequence[object]:
    """List what is wrong with the values of a composed config.

    Args:
        config: as Hydra composes it.
        check: lists what is wrong with it in plain containers.
    """
    if "${hydra:" in OmegaConf.to_yaml(config):
        return []  # has a value in a run only, which checks it then
    try:
        values = plain(config)
    except InterpolationToMissingValueError:
        return []  # the key that is missing is among the problems already
    except OmegaConfBaseException as error:
        return [interpolation_problem(error)]
    try:
        _import_own_modules(values)
    except ConfigError as error:
        return [error]  # alone: what they register would be among the unknown names
    return check(values)


def _import_own_modules(values: dict[str, Any]) -> None:
    """Import what the config names in ``imports``, so that the names which it registers are known to all checks."""
    if values.get("imports"):
        from transkd.training.checks import import_own_modules

        import_own_modules(values)
