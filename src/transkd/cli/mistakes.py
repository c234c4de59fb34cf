"""Every mistake of a command line in one message: in its flags, its ``key=value`` arguments and their values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from hydra import compose
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, Node, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from transkd.cli.arguments import (
    APPENDED_GROUPS,
    OTHER_CONFIG,
    SHOWS_CONFIG,
    SWEEPS,
    config_dirs,
    flag_problems,
    has_flag,
)
from transkd.cli.compose import composing, register_backbones
from transkd.cli.help import choices
from transkd.errors import ConfigError, did_you_mean

SEARCH_PATH = "hydra.searchpath"
SWEEP = "sweep"
NO_CHOICE = {"base"}
"""Files of a group that hold what its choices share."""

Check = Callable[[dict[str, Any]], Sequence[object]]
"""Lists what is wrong with the values of a composed config."""


def refuse_mistakes(name: str, flags: Sequence[str], overrides: Sequence[str], check: Check) -> dict[str, Any] | None:
    """Check a command line, and the config that it composes.

    Args:
        name: the command, such as ``"transkd-train"``.
        flags: the command line's options, as ``split_arguments`` gives them.
        overrides: its ``key=value`` arguments.
        check: lists what is wrong with the values of the composed config.

    Returns:
        The values that were checked; None where they are known in the run only, or are only shown.

    Raises:
        ConfigError: listing all that is wrong.
    """
    if wrong := list(flag_problems(flags)):
        raise ConfigError(listed(wrong, "in the arguments"))  # at once: a mistyped --help asks for no other check
    for further in config_dirs(flags):
        if not further.is_dir():
            raise ConfigError(f"--config-dir: there is no folder {further}")
    if has_flag(flags, *OTHER_CONFIG):
        return None  # another primary config than ours: Hydra reports what is wrong with it
    found = find_mistakes(name, overrides, further_folders=config_dirs(flags), sweeps=has_flag(flags, *SWEEPS))
    problems = [*found.problems]
    if not has_flag(flags, *SHOWS_CONFIG):
        chosen = {text.partition("=")[0] for text in problems if ": there is no such choice" in text}
        missing = [f"{key}: is missing" for key in found.missing if key not in chosen]
        values = map(str, value_problems(found.config, check) if found.config is not None else ())
        missing += [_with_choices(text) for text in values if text.partition(":")[0] not in chosen]
        problems += missing
    if problems:
        raise ConfigError(listed(problems, "in the arguments"))
    if found.config is None or found.missing or "${hydra:" in OmegaConf.to_yaml(found.config):
        return None
    return plain(found.config)


def listed(lines: Sequence[str], where: str) -> str:
    """Return one message that lists mistakes, each once.

    Args:
        lines: one or more.
        where: they are, such as ``"in the arguments"``.
    """
    lines = list(dict.fromkeys(f"  {line}" for line in lines))
    count = "is a mistake" if len(lines) == 1 else f"are {len(lines)} mistakes"
    return "\n".join([f"there {count} {where}:", *lines])


def search_path(folders: Sequence[Path | str]) -> list[str]:
    """Return the override that lets Hydra look for choices in further folders."""
    return [f"{SEARCH_PATH}=[{','.join(f'file://{folder}' for folder in folders)}]"] if folders else []


def plain(config: DictConfig) -> dict[str, Any]:
    """Return a config in plain containers, its interpolations resolved.

    Raises:
        ConfigError: one of them cannot be resolved.
    """
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    except OmegaConfBaseException as error:
        raise ConfigError(_interpolation_problem(error)) from error
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def missing_keys(config: DictConfig) -> list[str]:
    """Return the keys that have to be given and are not; OmegaConf's own function stops at interpolations of them."""
    return sorted(path for path, node in _nodes(config) if node._is_missing())


def value_problems(config: DictConfig, check: Check) -> Sequence[object]:
    """List what is wrong with the values of a composed config.

    Args:
        config: as Hydra composes it.
        check: lists what is wrong with it in plain containers.
    """
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
    return check(values)


def _with_choices(problem: str) -> str:
    """Add the choices to a problem that says that a config group is missing."""
    group, _, text = problem.partition(": ")
    known = choices(group) if text == "is missing" else []
    return f"{problem}; known: {', '.join(known)}" if known else problem


def _interpolation_problem(error: OmegaConfBaseException) -> str:
    text = str(error).splitlines()[0]
    named = re.search(r"Interpolation key '(.*)' not found", text)
    return f"{error.full_key}: {f'it refers to {named[1]}, which does not exist' if named else text}"


@dataclass(frozen=True)
class Found:
    """What a command line's overrides are.

    Attributes:
        problems: a line for each group, choice and key that does not exist, and for what is no override.
        config: what the right ones compose, with the first value of each sweep; None where nothing can be.
        missing: the keys of it that have to be given and are not.
    """

    problems: list[str]
    config: DictConfig | None
    missing: tuple[str, ...] = ()


def find_mistakes(
    name: str, overrides: Sequence[str], *, further_folders: Sequence[Path] = (), sweeps: bool = False
) -> Found:
    """Check each override of a command on its own, and compose those that are right.

    Args:
        name: the command, such as ``"transkd-train"``.
        overrides: as ``split_arguments`` gives them.
        further_folders: the user's own configs.
        sweeps: whether several values, ``seed=0,1``, are allowed.
    """
    register_backbones(overrides)
    with composing(name) as primary:
        return _Checker(primary, list(further_folders), sweeps).check(overrides)


class _Checker:
    def __init__(self, primary: str, further_folders: list[Path], sweeps: bool) -> None:
        self.primary = primary
        self.further_folders = further_folders
        self.sweeps = sweeps
        self.loader: ConfigLoader = GlobalHydra.instance().config_loader()
        self.parser = OverridesParser.create(config_loader=self.loader)
        self.groups = {group for group in self.loader.list_groups("") if group != "hydra"}

    def check(self, texts: Sequence[str]) -> Found:
        problems: list[str] = []
        parsed: list[Override] = []
        for text in texts:
            override = self._parse(text)
            if isinstance(override, str):
                problems.append(override)
            else:
                parsed.append(override)
        for override in parsed:
            if override.key_or_group == SEARCH_PATH and isinstance(paths := override.value(), list):
                self.further_folders += [Path(str(path).removeprefix("file://")) for path in paths]
        ours = [override for override in parsed if not override.is_hydra_override()]
        choices = [override for override in ours if override.key_or_group in self.groups]
        of_choice = {id(override): list(self._choice_problems(override, choices)) for override in choices}
        problems += [problem for found in of_choice.values() for problem in found]
        right = [override for override in choices if not of_choice[id(override)]]
        wrong = [override for override in choices if of_choice[id(override)]]
        meant = self._meant(right, wrong)
        config = self._compose(meant)
        if isinstance(config, str):
            return Found([*problems, *([] if wrong else self._uncomposed(config, choices))], None)
        for override in (override for override in ours if override.key_or_group not in self.groups):
            found = list(self._key_problems(override, meant, config, sure=not wrong))
            problems += found
            right += [override] if not found else []
        composed = self._compose(right)
        if isinstance(composed, str):
            return Found([*problems, *([] if wrong else [composed])], None)
        return Found(problems, composed, tuple(missing_keys(composed)))

    def _parse(self, text: str) -> Override | str:
        """Return an override, or what is wrong with it."""
        if text in ("help", "version"):
            return f"{text}: options have two dashes: --{text}"
        try:
            override = self.parser.parse_overrides([text])[0]
        except HydraException:
            override = None
        if override is None or not override.key_or_group:
            return f"{text}: is not of the form key=value (quote values with spaces or special signs: 'key=\"…\"')"
        plain_text = text.lstrip("+")
        if override.is_sweep_override() and not self.sweeps:
            key = override.get_key_element().lstrip("+")
            return f"{plain_text}: several values are a sweep, a run each: add -m; for a list write {key}=[…]"
        if override.is_interval_sweep():
            return f"{plain_text}: an interval has no end of values: write them out, or range(from,to,step)"
        if override.is_sweep_override() and not list(override.sweep_string_iterator()):
            return f"{plain_text}: is a sweep over no value"
        return override

    def _choice_problems(self, override: Override, choices: Sequence[Override]) -> Iterator[str]:
        group, text = override.key_or_group, str(override.input_line)
        if override.is_delete():
            return
        twice = [one for one in choices if one.key_or_group == group and not one.is_delete()]
        if group == SWEEP and not self.sweeps:
            yield f"{text.lstrip('+')}: a sweep is many runs: add -m"
        elif override.is_add() and group not in APPENDED_GROUPS:
            yield f"{text}: there is a choice of {group} already; write it without the +"
        elif len(twice) > 1:
            if override is twice[-1]:
                yield f"{' and '.join(str(one.input_line).lstrip('+') for one in twice)}: only one of them can be"
        else:
            known = self._known(group)
            values = list(override.sweep_string_iterator()) if override.is_sweep_override() else [override.value()]
            for value in (one for item in values for one in (item if isinstance(item, list) else [item])):
                if str(value) not in known:
                    written = "null" if value is None else value
                    yield f"{group}={written}: there is no such choice; {did_you_mean(str(value), known)}"

    def _known(self, group: str) -> set[str]:
        """Return the choices of a group, those of the user's own folders too."""
        own = {path.stem for folder in self.further_folders for path in (Path(folder) / group).glob("*.yaml")}
        return {*self.loader.get_group_options(group), *own} - NO_CHOICE

    def _meant(self, right: Sequence[Override], wrong: Sequence[Override]) -> list[Override]:
        """Return the choices that are right, and for those that are not what was probably meant, if that composes.

        Other arguments are judged by it, so that a mistyped choice makes no mistakes of what goes with it.
        """
        meant = list(right)
        for override in wrong:
            close = get_close_matches(str(override.value()), self._known(override.key_or_group), n=1, cutoff=0.6)
            if close and not override.is_sweep_override() and not override.is_delete():
                meant += self.parser.parse_overrides([f"{override.get_key_element()}={close[0]}"])
        return list(right) if isinstance(self._compose(meant), str) else meant

    def _uncomposed(self, error: str, choices: Sequence[Override]) -> list[str]:
        """Explain why the choices do not compose."""
        if match := re.match(r"Could not override '(\w+)'\..*No match in the defaults list", error):
            taken = [str(one.input_line).lstrip("+") for one in choices if one.key_or_group == match[1]]
            why = f"there is no choice of {match[1]} here: what else is chosen does not take it"
            return [f"{text}: {why}" for text in taken] or [error]
        return [error]

    def _key_problems(
        self, override: Override, choices: Sequence[Override], config: DictConfig, *, sure: bool
    ) -> Iterator[str]:
        """Yield what is wrong with a key; ``sure`` is false where a choice is wrong that it may belong to."""
        key = override.key_or_group
        if not sure and key.partition(".")[0] in self.groups - set(map(str, config)):
            return
        exists = _exists(config, key)
        if override.is_add():
            if exists:
                yield f"{override.input_line}: there is such a key; write it without the +"
        elif not exists and not override.is_force_add() and isinstance(self._compose([*choices, override]), str):
            yield f"{key}: there is no such key; {self._hint(key, config)}"

    def _hint(self, key: str, config: DictConfig) -> str:
        groups = {group for group in self.groups if group in config or group in APPENDED_GROUPS}
        known = {*groups, *(path for path, _ in _nodes(config))}
        if get_close_matches(key, known, n=1, cutoff=0.6):
            return did_you_mean(key, known)
        section = key.rpartition(".")[0]
        beside = {name.removeprefix(f"{section}.") for name in known if name.rpartition(".")[0] == section}
        return f"known{f' in {section}' if beside and section else ''}: {', '.join(sorted(beside or groups))}"

    def _compose(self, overrides: Sequence[Override]) -> DictConfig | str:
        """Return what overrides compose, of a sweep the first value; or why they do not."""
        texts = [
            f"{one.get_key_element()}={next(iter(one.sweep_string_iterator()))}"
            if one.is_sweep_override()
            else str(one.input_line)
            for one in overrides
        ]
        try:
            return compose(self.primary, [*search_path(self.further_folders), *texts])
        except (HydraException, OmegaConfBaseException) as error:
            return " ".join(str(error).split())
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            return self._broken_file() or f"a config file cannot be read: {' '.join(str(error).split())}"

    def _broken_file(self) -> str | None:
        """Return which of the user's own config files is no YAML, and where it is wrong."""
        for file in (file for folder in self.further_folders for file in sorted(Path(folder).rglob("*.yaml"))):
            try:
                yaml.safe_load(file.read_text(encoding="utf-8"))
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                return f"{file} is no YAML in UTF-8: {' '.join(str(error).split())}"
        return None


def _exists(config: DictConfig, key: str) -> bool:
    section: object = config
    for part in key.split("."):
        if not isinstance(section, DictConfig) or section._is_none() or part not in section.keys():  # noqa: SIM118
            return False
        section = section._get_node(part)
    return True


def _nodes(config: DictConfig, prefix: str = "") -> Iterator[tuple[str, Node]]:
    """Yield every key's path and node, with no interpolation followed."""
    for key in config:
        node = config._get_node(key)
        if isinstance(node, Node):
            yield f"{prefix}{key!s}", node
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_missing():
            yield from _nodes(node, f"{prefix}{key!s}.")
