"""Mistakes in ``key=value`` arguments, all found at once and each said in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import yaml
from hydra import compose
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, Node
from omegaconf.errors import OmegaConfBaseException

from transkd.cli.arguments import APPENDED_GROUPS
from transkd.cli.compose import composing
from transkd.errors import did_you_mean

SEARCH_PATH = "hydra.searchpath"
SWEEP = "sweep"
NO_CHOICE = {"base"}
"""Files of a group that hold what its choices share."""


@dataclass(frozen=True)
class Checked:
    """What became of a command line's overrides.

    Attributes:
        problems: a line for each group, choice and key that does not exist, and for what is no override.
        config: what the right ones compose, with the first value of each sweep; None where nothing can be.
        missing: the keys of it that have to be given and are not.
    """

    problems: list[str]
    config: DictConfig | None
    missing: tuple[str, ...] = ()


def check_overrides(
    name: str,
    overrides: Sequence[str],
    *,
    further_folders: Sequence[Path] = (),
    sweeps: bool = False,
) -> Checked:
    """Check each override of a command on its own, and compose those that are right.

    Args:
        name: the command, such as ``"transkd-train"``.
        overrides: as ``split_arguments`` gives them.
        further_folders: the user's own configs.
        sweeps: whether several values, ``seed=0,1``, are allowed.
    """
    with composing(name) as primary:
        return _Checker(primary, list(further_folders), sweeps).check(overrides)


class _Checker:
    def __init__(self, config_name: str, further_folders: list[Path], sweeps: bool) -> None:
        self.config_name = config_name
        self.further_folders = further_folders
        self.sweeps = sweeps
        self.loader: ConfigLoader = GlobalHydra.instance().config_loader()
        self.parser = OverridesParser.create(config_loader=self.loader)
        self.groups = {g for g in self.loader.list_groups("") if g != "hydra"}

    def check(self, texts: Sequence[str]) -> Checked:
        problems: list[str] = []
        parsed = [found for text in texts if (found := self._parse(text, problems)) is not None]
        for override in parsed:
            if override.key_or_group == SEARCH_PATH and isinstance(paths := override.value(), list):
                self.further_folders += [Path(str(path).removeprefix("file://")) for path in paths]
        ours = [override for override in parsed if not override.is_hydra_override()]
        choices = [override for override in ours if override.key_or_group in self.groups]
        right = [o for o in choices if not _noted(self._choice_problems(o, choices), problems)]
        wrong = [override for override in choices if override not in right]
        keys = [override for override in ours if override.key_or_group not in self.groups]
        meant = self._meant(right, wrong)
        config = self._compose(meant)
        if isinstance(config, str):
            return Checked([*problems, *([] if wrong else self._uncomposed(config, choices))], None)
        right_keys = [o for o in keys if not _noted(self._key_problems(o, meant, config, sure=not wrong), problems)]
        composed = self._compose([*right, *right_keys])
        if isinstance(composed, str):
            return Checked([*problems, *([] if wrong else [composed])], None)
        return Checked(problems, composed, tuple(sorted(_missing(composed))))

    def _parse(self, text: str, problems: list[str]) -> Override | None:
        if text in ("help", "version"):
            problems.append(f"{text}: options have two dashes: --{text}")
            return None
        try:
            override = self.parser.parse_overrides([text])[0]
        except HydraException:
            override = None
        if override is None or not override.key_or_group:
            problems.append(
                f"{text}: is not of the form key=value (quote values with spaces or special signs: 'key=\"…\"')"
            )
            return None
        if override.is_sweep_override() and not self.sweeps:
            key = override.get_key_element().lstrip("+")
            problems.append(
                f"{_plain(text)}: several values are a sweep, a run each: add -m; for a list write {key}=[…]"
            )
            return None
        if override.is_interval_sweep():
            problems.append(f"{_plain(text)}: an interval has no end of values: write them out, or range(from,to,step)")
            return None
        return override

    def _choice_problems(self, override: Override, choices: Sequence[Override]) -> list[str]:
        group = override.key_or_group
        if override.is_delete():
            return []
        if group == SWEEP and not self.sweeps:
            return [f"{_plain(str(override.input_line))}: a sweep is many runs: add -m"]
        if override.is_add() and group not in APPENDED_GROUPS:
            return [f"{override.input_line}: there is a choice of {group} already; write it without the +"]
        twice = [o for o in choices if o.key_or_group == group and not o.is_delete()]
        if len(twice) > 1:
            others = " and ".join(_plain(str(o.input_line)) for o in twice)
            return [f"{others}: only one of them can be"] if override is twice[-1] else []
        known = set(self.loader.get_group_options(group)) - NO_CHOICE
        values = list(override.sweep_string_iterator()) if override.is_sweep_override() else [override.value()]
        chosen = [v for value in values for v in (value if isinstance(value, list) else [value])]
        any_timm = f"; any other hierarchical timm model: {group}=timm {group}.backbone=NAME" if "timm" in known else ""
        return [
            f"{group}={'null' if value is None else value}: there is no such choice; "
            f"{did_you_mean(str(value), known)}{any_timm}"
            for value in chosen
            if str(value) not in known and not self._is_own_file(group, str(value))
        ]

    def _meant(self, right: Sequence[Override], wrong: Sequence[Override]) -> list[Override]:
        """Return the choices that are right, and for those that are not what was probably meant, if that composes.

        Other arguments are judged by it, so that a mistyped choice makes no mistakes of what goes with it.
        """
        meant = list(right)
        for override in wrong:
            known = set(self.loader.get_group_options(override.key_or_group)) - NO_CHOICE
            close = get_close_matches(str(override.value()), known, n=1, cutoff=0.6)
            if close and not override.is_sweep_override() and not override.is_delete():
                meant += self.parser.parse_overrides([f"{override.get_key_element()}={close[0]}"])
        return list(right) if isinstance(self._compose(meant), str) else meant

    def _uncomposed(self, error: str, choices: Sequence[Override]) -> list[str]:
        """Say why the choices do not compose, unless a choice that does not exist is what is missing."""
        if match := re.match(r"You must specify '(\w+)'", error):
            group = match[1]
            known = ", ".join(sorted(set(self.loader.get_group_options(group)) - NO_CHOICE))
            return [] if any(o.key_or_group == group for o in choices) else [f"{group}: is missing; known: {known}"]
        if match := re.match(r"Could not override '(\w+)'\..*No match in the defaults list", error):
            taken = [o.input_line for o in choices if o.key_or_group == match[1]]
            said = f"there is no choice of {match[1]} here: what else is chosen does not take it"
            return [f"{_plain(str(line))}: {said}" for line in taken] or [error]
        return [error]

    def _is_own_file(self, group: str, value: str) -> bool:
        return any((folder / group / f"{value}.yaml").is_file() for folder in self.further_folders)

    def _key_problems(
        self, override: Override, choices: Sequence[Override], config: DictConfig, *, sure: bool
    ) -> list[str]:
        """Say what is wrong with a key; ``sure`` is false where a choice is wrong that it may belong to."""
        key = override.key_or_group
        if not sure and key.partition(".")[0] in self.groups - set(map(str, config)):
            return []
        exists = _exists(config, key)
        if override.is_add():
            return [f"{override.input_line}: there is such a key; write it without the +"] if exists else []
        if exists or override.is_force_add() or not isinstance(self._compose([*choices, override]), str):
            return []
        return [f"{key}: there is no such key; {self._hint(key, config)}"]

    def _hint(self, key: str, config: DictConfig) -> str:
        groups = {group for group in self.groups if group in config or group in APPENDED_GROUPS}
        known = {*groups, *_keys(config)}
        if get_close_matches(key, known, n=1, cutoff=0.6):
            return did_you_mean(key, known)
        section = key.rpartition(".")[0]
        beside = {name.removeprefix(f"{section}.") for name in known if name.rpartition(".")[0] == section}
        return f"known{f' in {section}' if beside and section else ''}: {', '.join(sorted(beside or groups))}"

    def _compose(self, overrides: Sequence[Override]) -> DictConfig | str:
        folders = ",".join(f"file://{folder}" for folder in self.further_folders)
        path = [f"{SEARCH_PATH}=[{folders}]"] if folders else []
        try:
            return compose(self.config_name, [*path, *map(_one_value, overrides)])
        except (HydraException, OmegaConfBaseException) as error:
            return " ".join(str(error).split())
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            return self._broken_file() or f"a config file cannot be read: {' '.join(str(error).split())}"

    def _broken_file(self) -> str | None:
        """Return which file of one's own configs is no YAML, and where it is wrong."""
        for file in (file for folder in self.further_folders for file in sorted(Path(folder).rglob("*.yaml"))):
            try:
                yaml.safe_load(file.read_text(encoding="utf-8"))
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                return f"{file} is no YAML in UTF-8: {' '.join(str(error).split())}"
            except OSError:
                continue
        return None


def _noted(found: list[str], problems: list[str]) -> bool:
    problems += found
    return bool(found)


def _one_value(override: Override) -> str:
    """Return the override; of a sweep, the first value."""
    if not override.is_sweep_override():
        return str(override.input_line)
    return f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"


def _plain(text: str) -> str:
    return text.lstrip("+")


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


def _keys(config: DictConfig) -> set[str]:
    return {path for path, _ in _nodes(config)}


def _missing(config: DictConfig) -> set[str]:
    return {path for path, node in _nodes(config) if node._is_missing()}
