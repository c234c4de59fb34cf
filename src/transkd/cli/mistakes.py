"""Every mistake of a command line in one message: in its ``key=value`` arguments and in the values they compose."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from transkd.cli.arguments import APPENDED_GROUPS
from transkd.cli.commands import COMMANDS
from transkd.cli.compose import composing, register_backbones
from transkd.cli.help import BASE, choices
from transkd.errors import ConfigError, did_you_mean
from transkd.options import REQUIRED, mistakes


def refuse_mistakes(name: str, options: Namespace, overrides: Sequence[str]) -> None:
    """Check a command line, as ``split_arguments`` gives it, and the config that it composes.

    Raises:
        ConfigError: listing all that is wrong.
    """
    if options.config_dir and not Path(options.config_dir).is_dir():
        raise ConfigError(f"--config-dir: there is no folder {options.config_dir}")
    if options.config_name or options.config_path:
        return  # another primary config than ours: Hydra reports what is wrong with it
    problems, config = find_mistakes(name, overrides, config_dir=options.config_dir, sweeps=options.multirun)
    if config is not None and not options.cfg:
        chosen = {group for group, _, text in (problem.partition("=") for problem in problems) if "no such" in text}
        of_values = [*(f"{key}: is missing" for key in missing_keys(config)), *map(str, value_problems(name, config))]
        for problem in of_values:
            key, _, text = problem.partition(": ")
            known = choices(key) if text == "is missing" else []
            if key not in chosen:
                problems.append(f"{problem}; known: {', '.join(known)}" if known else problem)
    if problems:
        raise ConfigError(mistakes(problems, "in the arguments"))


def plain(config: DictConfig) -> dict[str, Any]:
    """Return a config in plain containers, its interpolations resolved.

    Raises:
        ConfigError: one of them cannot be resolved.
    """
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key}: {str(error).splitlines()[0]}") from error
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def missing_keys(config: DictConfig) -> list[str]:
    """Return the keys that have to be given and are not."""
    return sorted(path for path, value in _items(config).items() if value == REQUIRED)


def value_problems(name: str, config: DictConfig) -> Sequence[object]:
    """List what is wrong with the values of a command's composed config."""
    if "${hydra:" in OmegaConf.to_yaml(config):
        return []  # has a value in a run only, which checks it then
    try:
        values = plain(config)
        if values.get("imports"):
            from transkd.training.checks import import_own_modules

            import_own_modules(values)  # what they register are names that all checks know
    except ConfigError as error:
        is_missing = isinstance(error.__cause__, InterpolationToMissingValueError)
        return [] if is_missing else [error]  # the key that is missing is among the problems already
    return COMMANDS[name].problems(values)


def find_mistakes(
    name: str, overrides: Sequence[str], *, config_dir: str | None = None, sweeps: bool = False
) -> tuple[list[str], DictConfig | None]:
    """Compose a command's config; where that fails, check each override on its own, and compose those that are right.

    Returns a line for each mistake, and what the right overrides compose, with the first value of each sweep, which
    only ``sweeps`` allows; None where nothing can be composed.
    """
    register_backbones(overrides)
    with composing(name, config_dir) as primary:
        loader = GlobalHydra.instance().config_loader()
        parser = OverridesParser.create(config_loader=loader)
        parsed = [_parsed(text, parser, sweeps=sweeps) for text in overrides]
        problems = [one for one in parsed if isinstance(one, str)]
        all_ours = [one for one in parsed if isinstance(one, Override)]
        ours = [one for one in all_ours if not one.is_hydra_override() or one.key_or_group == "hydra.searchpath"]
        groups = set(loader.list_groups("")) - {"hydra"}
        chosen = [one for one in ours if one.key_or_group in groups]
        wrong: dict[str, list[str]] = {}
        for override in chosen:
            paths = [text for text in overrides if text.startswith("hydra.searchpath")]
            known = set(loader.get_group_options(override.key_or_group, overrides=paths)) - {BASE}
            if found := list(_choice_problems(override, chosen, known, sweeps=sweeps)):
                wrong[override.key_or_group] = found
        problems += [problem for found in wrong.values() for problem in found]
        if "action" in wrong:
            return problems, None  # which keys there are depends on it
        right = [one for one in ours if one.key_or_group.partition(".")[0] not in wrong]
        config = _composed(primary, right)
        if isinstance(config, DictConfig):
            return problems, config
        keys = [one for one in right if one.key_or_group not in groups and not one.is_hydra_override()]
        of_groups = _composed(primary, [one for one in right if one not in keys])
        if isinstance(of_groups, str):
            taken = [one for one in chosen if of_groups.startswith(f"Could not override '{one.key_or_group}'")]
            why = "here: what else is chosen does not take it"
            explained = [f"{one.input_line}: there is no choice of {one.key_or_group} {why}" for one in taken]
            return [*problems, *(explained or [of_groups])], None
        known_keys = {*_items(of_groups), *COMMANDS[name].added}
        bad = {one.input_line: problem for one in keys if (problem := _key_problem(one, known_keys))}
        problems += bad.values()
        config = _composed(primary, [one for one in right if one.input_line not in bad])
        return (problems, config) if isinstance(config, DictConfig) else ([*problems, config], None)


def _parsed(text: str, parser: OverridesParser, *, sweeps: bool) -> Override | str:
    """Return an override, or what is wrong with it."""
    try:
        override = parser.parse_overrides([text])[0]
    except HydraException:
        override = None
    if override is None or not override.key_or_group:
        return f"{text}: is not of the form key=value (quote values with spaces or special signs: 'key=\"…\"')"
    if not override.is_sweep_override():
        return override
    shown, key = text.lstrip("+"), override.get_key_element().lstrip("+")
    if not sweeps:
        return f"{shown}: several values are a sweep, a run each: add -m; for a list write {key}=[…]"
    if override.is_interval_sweep():
        return f"{shown}: an interval has no end of values: write them out, or range(from,to,step)"
    return override if any(override.sweep_string_iterator()) else f"{shown}: is a sweep over no value"


def _choice_problems(
    override: Override, chosen: Sequence[Override], known: Collection[str], *, sweeps: bool
) -> Iterator[str]:
    group, text = override.key_or_group, str(override.input_line)
    if override.is_delete():
        return
    beside = [str(one.input_line).lstrip("+") for one in chosen if one.key_or_group == group]
    if group == "sweep" and not sweeps:
        yield f"{text.lstrip('+')}: a sweep is many runs: add -m"
    elif override.is_add() and group not in APPENDED_GROUPS:
        yield f"{text}: there is a choice of {group} already; write it without the +"
    elif len(beside) > 1:
        yield f"{' and '.join(beside)}: only one of them can be"
    else:
        values = list(override.sweep_string_iterator()) if override.is_sweep_override() else [override.value()]
        for value in (one for item in values for one in (item if isinstance(item, list) else [item])):
            if str(value) not in known:
                written = "null" if value is None else value
                yield f"{group}={written}: there is no such choice; {did_you_mean(str(value), known)}"


def _key_problem(override: Override, known: Collection[str]) -> str | None:
    """Return what is wrong with a key; None where nothing is known to be."""
    key = override.key_or_group
    if override.is_add():
        return f"{override.input_line}: there is such a key; write it without the +" if key in known else None
    if key in known or override.is_force_add():
        return None
    section = key.rpartition(".")[0]
    beside = [path for path in known if path.rpartition(".")[0] == section]
    close = get_close_matches(key, known, n=1, cutoff=0.6)
    return f"{key}: there is no such key; {did_you_mean(key, close or beside or known)}"


def _composed(primary: str, overrides: Sequence[Override]) -> DictConfig | str:
    """Return what overrides compose, of a sweep the first value; or why they do not."""
    texts = [
        f"{one.get_key_element()}={next(iter(one.sweep_string_iterator()))}"
        if one.is_sweep_override()
        else str(one.input_line)
        for one in overrides
    ]
    try:
        return compose(primary, texts)
    except (HydraException, OmegaConfBaseException) as error:
        return " ".join(str(error).split())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return f"a config file is no YAML in UTF-8: {' '.join(str(error).split())}"


def _items(config: DictConfig) -> dict[str, Any]:
    """Return path -> value of every key, sections too, with no interpolation resolved."""
    found: dict[str, Any] = {}
    left: list[tuple[str, Any]] = [("", OmegaConf.to_container(config))]
    for path, section in left:
        inner = {f"{path}.{key}".lstrip("."): value for key, value in section.items()}
        found |= inner
        left += [item for item in inner.items() if isinstance(item[1], Mapping)]
    return found
