"""The files of conf/, as documents need them: what each is, and its keys with value and comment.

A comment belongs to the key, or to the entry of the defaults list, right below it. The first comment of a file, and
what stands beside it, describes the whole file (`base.yaml`, which is no choice, has none).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

CONF = Path(__file__).resolve().parents[1] / "conf"
GLOBAL = "# @package _global_"


@dataclass(frozen=True)
class Key:
    """One key: its whole path as typed, its value as the file writes it, and its comment."""

    path: str
    value: str
    comment: str = ""


@dataclass(frozen=True)
class Default:
    """One entry of a defaults list: a group and its choice, or a file of the same group (``group`` is empty)."""

    group: str
    choice: str
    comment: str = ""


@dataclass(frozen=True)
class ConfigFile:
    """One file of conf/."""

    path: Path
    about: str
    defaults: tuple[Default, ...]
    keys: tuple[Key, ...]

    @property
    def group(self) -> str:
        """The folder's name; empty for a primary config."""
        return "" if self.path.parent == CONF else self.path.parent.name

    @property
    def name(self) -> str:
        """The choice's name."""
        return self.path.stem


def groups() -> dict[str, list[ConfigFile]]:
    """Return every config group with its choices, `base` first."""
    folders = sorted(folder for folder in CONF.iterdir() if folder.is_dir())
    order = {
        folder.name: sorted(folder.glob("*.yaml"), key=lambda path: (path.stem != "base", path.stem))
        for folder in folders
    }
    return {name: [read_config(path) for path in paths] for name, paths in order.items() if paths}


def read_config(path: Path) -> ConfigFile:
    """Return what a file of conf/ holds."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode), path
    header = _header(lines)
    about = "" if path.stem == "base" else _joined(header)
    reader = _Reader(text, lines, 0 if path.stem == "base" else _header_end(lines))
    prefix = "" if path.parent == CONF or GLOBAL in lines else f"{path.parent.name}."
    defaults: list[Default] = []
    keys: list[Key] = []
    for key, value in root.value:
        if key.value == "defaults":
            defaults = list(reader.defaults(value))
        elif not (key.value == "hydra" and path.parent == CONF):
            keys += reader.keys(prefix, key, value)
    return ConfigFile(path, about, tuple(defaults), tuple(keys))


def _header(lines: list[str]) -> list[str]:
    return [line for line in lines[: _header_end(lines)] if line != GLOBAL]


def _header_end(lines: list[str]) -> int:
    return next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))


def _joined(lines: list[str]) -> str:
    return " ".join(line.strip().lstrip("#").strip() for line in lines)


@dataclass(frozen=True)
class _Reader:
    text: str
    lines: list[str]
    header_end: int

    def keys(self, prefix: str, key: yaml.Node, value: yaml.Node) -> Iterator[Key]:
        path = f"{prefix}{key.value}"
        comment = self._above(key)
        if isinstance(value, yaml.MappingNode) and not value.flow_style and value.value:
            if comment:
                yield Key(path, "", comment)
            for inner, inner_value in value.value:
                yield from self.keys(f"{path}.", inner, inner_value)
        else:
            yield Key(path, self._source(value), comment)

    def defaults(self, entries: yaml.Node) -> Iterator[Default]:
        for entry in entries.value:
            comment = self._above(entry)
            if isinstance(entry, yaml.ScalarNode):
                if entry.value != "_self_":
                    yield Default("", entry.value, comment)
                continue
            group, choice = entry.value[0]
            name = group.value.removeprefix("override ").lstrip("/")
            if not name.startswith("hydra/"):
                yield Default(name, choice.value, comment)

    def _source(self, value: yaml.Node) -> str:
        written = self.text[value.start_mark.index : value.end_mark.index]
        return re.sub(r"\s+", " ", written).strip()

    def _above(self, node: yaml.Node) -> str:
        end = node.start_mark.line
        start = end
        while start > self.header_end and self.lines[start - 1].lstrip().startswith("#"):
            start -= 1
        return _joined(self.lines[start:end])
