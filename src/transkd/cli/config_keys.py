"""The keys and choices of a command's config, read from its YAML files in a tenth of the time that composing takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from transkd.cli.arguments import APPENDED_GROUPS

Tree = dict[str, Any]
SHARED = "base"
GLOBAL = "@package _global_"


class ConfigKeys:
    """What the files of a primary config and of the chosen groups hold; values that depend on others are not resolved.

    Args:
        config: the primary config, with the folders of the groups beside it.
        overrides: the command line's ``key=value`` arguments, of which choices count.
        further_folders: the user's own configs.
    """

    def __init__(self, config: Path, overrides: Sequence[str], further_folders: Sequence[Path] = ()) -> None:
        self._folders = [config.parent, *further_folders]
        self._chosen: dict[str, str] = {}
        self._given = dict(_choice(override) for override in overrides if "=" in override)
        self._tree: Tree = {}
        primary = _load(config)
        experiments = [(group, self._given[group]) for group in APPENDED_GROUPS if group in self._given]
        self._read_defaults(primary, "")
        for group, choice in experiments:
            self._read_defaults(self._file(group, choice), group)
        self._merge(primary, "")
        for group, choice in self._all_choices():
            self._read(group, choice)
        for group, choice in experiments:
            self._read(group, choice)
        appended = APPENDED_GROUPS if config.stem == "train" else ()
        self.groups = sorted({*self._chosen, *appended})

    def choices(self, group: str) -> list[str]:
        """Return the choices of a group, none where there is no such group."""
        found = {path.stem for folder in self._folders for path in (folder / group).glob("*.yaml")}
        return sorted(found - {SHARED}) if group in self.groups else []

    def value(self, key: str) -> object:
        """Return what the files say of a key, None where they say nothing."""
        node: object = self._tree
        for part in key.split("."):
            node = node.get(part) if isinstance(node, Mapping) else None
        return node

    def below(self, section: str) -> Iterable[tuple[str, object]]:
        """Return names and values in a section, of the whole config for an empty name."""
        node = self.value(section) if section else self._tree
        return node.items() if isinstance(node, Mapping) else ()

    def _all_choices(self) -> Iterator[tuple[str, str]]:
        """Yield what is chosen of each group; reading a choice may bring further groups."""
        done: set[str] = set()
        while todo := [group for group in self._chosen if group not in done]:
            done.update(todo)
            yield from ((group, self._given.get(group, self._chosen[group])) for group in todo)

    def _read(self, group: str, choice: str) -> None:
        path = self._path(group, choice)
        if path is None:
            return
        values = _load(path)
        self._read_defaults(values, group)
        is_global = GLOBAL in path.read_text(encoding="utf-8").partition("\n")[0]
        self._merge(values, "" if is_global else group)

    def _read_defaults(self, values: Tree, group: str) -> None:
        """Note what a file chooses, and read the files of its own group that it begins with."""
        for entry in values.get("defaults", []):
            if isinstance(entry, str):
                if entry != "_self_":
                    self._read(group, entry)
                continue
            for name, choice in entry.items():
                chosen = str(name).removeprefix("override ").removeprefix("/")
                if not chosen.startswith("hydra/"):
                    self._chosen[chosen] = str(choice)

    def _merge(self, values: Tree, group: str) -> None:
        tree = self._tree
        for part in group.split("/") if group else []:
            tree = tree.setdefault(part, {})
        _merge_into(tree, {key: value for key, value in values.items() if key not in ("defaults", "hydra")})

    def _file(self, group: str, choice: str) -> Tree:
        path = self._path(group, choice)
        return {} if path is None else _load(path)

    def _path(self, group: str, choice: str) -> Path | None:
        paths = [folder / group / f"{choice}.yaml" for folder in self._folders]
        return next((path for path in paths if path.is_file()), None)


def _choice(override: str) -> tuple[str, str]:
    name, _, value = override.lstrip("+").partition("=")
    return name, value.split(",")[0]


def _load(path: Path) -> Tree:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return values if isinstance(values, dict) else {}


def _merge_into(tree: Tree, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(tree.get(key), dict):
            _merge_into(tree[key], value)
        else:
            tree[str(key)] = {**value} if isinstance(value, Mapping) else value
