"""Mistakes in ``key=value`` arguments, all found at once and each said in one line."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from transkd.errors import ConfigError, did_you_mean

APPENDED_GROUPS = ("experiment", "debug")
FLAGS_WITH_VALUE = (
    "--config-dir",
    "-cd",
    "--config-name",
    "-cn",
    "--config-path",
    "-cp",
    "--package",
    "-p",
    "--cfg",
    "-c",
)


def users_form(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with ``experiment=x`` and ``debug=x`` as Hydra wants them: appended, debug last.

    ``+experiment=x`` and ``experiment=x`` mean the same, and a debug choice has the last word wherever it stands.
    """
    plain: list[str] = []
    debug: list[str] = []
    for argument in arguments:
        key = argument.split("=", 1)[0].lstrip("+")
        if "=" in argument and key in APPENDED_GROUPS:
            argument = f"+{argument.lstrip('+')}"
        (debug if key == "debug" and "=" in argument else plain).append(argument)
    return plain + debug


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split a command line into flags (with their values) and overrides."""
    flags: list[str] = []
    overrides: list[str] = []
    takes_value = False
    for argument in arguments:
        if takes_value or argument.startswith("-"):
            flags.append(argument)
            takes_value = not takes_value and argument in FLAGS_WITH_VALUE
        else:
            overrides.append(argument)
    return flags, overrides


def check_overrides(folder: Path, config_name: str, overrides: Sequence[str], flags: Sequence[str] = ()) -> None:
    """Check each override on its own against the configs in ``folder``.

    Raises:
        ConfigError: listing every group, choice and key that does not exist, and every line that is no override.
    """
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(folder), version_base="1.3"):
        checker = _Checker(config_name, _search_path(flags))
        problems = checker.problems(overrides)
    if problems:
        head = (
            "there is a mistake in the arguments"
            if len(problems) == 1
            else f"there are {len(problems)} mistakes in the arguments"
        )
        raise ConfigError("\n".join([f"{head}:", *(f"  {problem}" for problem in problems)]))


class _Checker:
    def __init__(self, config_name: str, search_path: list[str]) -> None:
        self.config_name = config_name
        self.search_path = search_path
        self.loader: ConfigLoader = GlobalHydra.instance().config_loader()
        self.groups = {g for g in self.loader.list_groups("") if g != "hydra"}

    def problems(self, texts: Sequence[str]) -> list[str]:
        problems: list[str] = []
        parsed = [found for text in texts if (found := self._parse(text, problems)) is not None]
        choices = [o for o in parsed if self._is_group(o)]
        valid: list[str] = []
        for override in choices:
            wrong = self._choice_problems(override)
            problems += wrong
            if not wrong:
                valid.append(self._single(override))
        config = self._compose(valid)
        if isinstance(config, str):
            return [*problems, config]
        for override in parsed:
            if not self._is_group(override) and not override.is_hydra_override():
                problems += self._key_problems(override, valid, config)
        return problems

    def _parse(self, text: str, problems: list[str]) -> Override | None:
        try:
            return OverridesParser.create().parse_override(text)
        except HydraException:
            problems.append(
                f"{text}: is not of the form key=value (quote values with spaces or special signs: 'key=\"…\"')"
            )
            return None

    def _is_group(self, override: Override) -> bool:
        return override.key_or_group in self.groups

    def _choice_problems(self, override: Override) -> list[str]:
        if override.is_delete():
            return []
        group = override.key_or_group
        known = self.loader.get_group_options(group)
        values = list(override.sweep_string_iterator()) if override.is_sweep_override() else [override.value()]
        chosen = [v for value in values for v in (value if isinstance(value, list) else [value])]
        return [
            f"{group}={value}: there is no such {group}; {did_you_mean(str(value), known)}"
            for value in chosen
            if str(value) not in known and not self._is_own_file(group, str(value))
        ]

    def _is_own_file(self, group: str, value: str) -> bool:
        roots = [Path(path.removeprefix("file://")) for path in self.search_path]
        return any((root / group / f"{value}.yaml").is_file() for root in roots)

    def _single(self, override: Override) -> str:
        if not override.is_sweep_override():
            return str(override.input_line)
        first = next(iter(override.sweep_string_iterator()))
        return f"{'+' if override.is_add() else ''}{override.key_or_group}={first}"

    def _key_problems(self, override: Override, choices: list[str], config: DictConfig) -> list[str]:
        key = override.key_or_group
        if override.is_add() or OmegaConf.select(config, key, default=...) is not ...:
            return []
        composed = self._compose([*choices, self._single(override)])
        if not isinstance(composed, str):
            return []
        return [f"{key}: there is no such key; {self._hint(key, config)}"]

    def _hint(self, key: str, config: DictConfig) -> str:
        known = {*self.groups, *_keys(config)}
        if get_close_matches(key, known, n=1, cutoff=0.6):
            return did_you_mean(key, known)
        section = key.rpartition(".")[0]
        beside = {name.removeprefix(f"{section}.") for name in known if name.rpartition(".")[0] == section}
        return f"known{f' in {section}' if beside and section else ''}: {', '.join(sorted(beside or self.groups))}"

    def _compose(self, overrides: list[str]) -> DictConfig | str:
        path = [f"hydra.searchpath=[{','.join(self.search_path)}]"] if self.search_path else []
        try:
            return compose(self.config_name, [*path, *overrides])
        except (HydraException, OmegaConfBaseException) as error:
            return " ".join(str(error).splitlines()[:2])


def _search_path(flags: Sequence[str]) -> list[str]:
    values = [f.split("=", 1)[1] for f in flags if f.startswith(("--config-dir=", "-cd="))]
    values += [after for flag, after in pairwise(flags) if flag in ("--config-dir", "-cd")]
    return [f"file://{Path(value).resolve()}" for value in values]


def _keys(config: DictConfig, prefix: str = "") -> set[str]:
    found: set[str] = set()
    for key in config:
        path = f"{prefix}{key!s}"
        found.add(path)
        value = config._get_node(key)
        if isinstance(value, DictConfig) and not value._is_none():
            found |= _keys(value, f"{path}.")
    return found
