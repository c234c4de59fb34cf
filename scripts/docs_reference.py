"""Write the pages of the reference that are read off the source.

python scripts/docs_reference.py            write docs/reference/{commands,configs,api}.md
python scripts/docs_reference.py --check    list the stale ones, and end with code 1

A comment in a file of conf/ belongs to the key, or to the entry of the defaults list, right below it. The first comment
of a file describes the whole file (`base.yaml`, which is no choice, has none).
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from pkgutil import resolve_name

import yaml
from docs_api import api_page, fenced

from transkd.cli.commands import COMMANDS
from transkd.cli.help import help_text
from transkd.options import Section, declared
from transkd.options import groups as options_groups
from transkd.training.config import GROUPS

TOP = Path(__file__).resolve().parents[1]
REFERENCE, CONF = TOP / "docs/reference", TOP / "conf"
GLOBAL = "# @package _global_"
NOTE = "<!-- Written by scripts/docs_reference.py: change what it is read from, not this page. -->\n"
# What reads as code in a comment: key=value, {...}, --flags, paths, names with a dot or an underscore inside.
CODE = re.compile(
    r"(?<![`\w.])(?:"
    r"[+~]*[A-Za-z_][\w./]*=(?:\[[^\]]*\]|\{[^}]*\}|[^\s,;:)]+)"
    r"|\{[^}]*\}"
    r"|--[a-z-]+"
    r"|[A-Za-z_]\w*(?:\.\w+)*(?:/[\w.*-]*)+"
    r"|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\.[A-Za-z_]\w{2,}"
    r"|[*A-Za-z]*_\w+"
    r")"
)
QUOTED = re.compile(r"(`[^`]*`)")


COMMANDS_HEAD = """# Commands

Arguments are `KEY=VALUE`, without dashes. `KEY` is any key below, or any of the [config groups](configs.md) that a
command composes. What is not there is refused before anything runs, with the nearest valid name.

| argument | means |
| --- | --- |
| `KEY=VALUE` | set a key; `KEY=[a,b]` a list, `KEY={a:1}` a mapping, `KEY=null` nothing |
| `GROUP=CHOICE` | take another choice of a config group |
| `+KEY=VALUE` | add a key that the config does not have, such as a further loss |
| `~KEY` | take a key away |
| `--help` | what the command does, examples, the most used keys |
| `--cfg job` | print all that is composed, with every key, and do nothing |
| `-m` | a sweep: `KEY=a,b,c` makes a job of each value, [sweeps](../sweeps.md) |
| `--config-dir=FOLDER` | also search for choices in a custom folder, laid out like `conf/` |

Square brackets, braces, spaces and `$` need quotes in a shell: `'data.size=[360,480]'`. A default of `???` has to be
given. See also [exit codes](exit_codes.md) and [files](files.md).
"""
CONFIGS_HEAD = """# Config groups

A group is a folder of `conf/`, a choice one of its files: `GROUP=CHOICE` takes it, `KEY=VALUE` changes a key of it.
`transkd-train +experiment=NAME --cfg job` prints what a command line composes, with every key. Custom choices are
in a folder that is laid out like `conf/` and given by `--config-dir=FOLDER`.
"""
ADDED = {
    "debug": "Added to `transkd-train` by `debug=NAME`: small runs that find mistakes.",
    "experiment": "Added to `transkd-train` by `+experiment=NAME`: a whole recipe, whose keys can all be changed.",
    "sweep": "Added to `transkd-train -m` by `sweep=NAME`: what is compared, [sweeps](../sweeps.md).",
}
SWEPT = "hydra.sweeper.params."


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


def prose(text: str) -> str:
    """Return a comment as Markdown: what is code in it as code, what would be markup escaped."""
    parts = QUOTED.split(text)
    return "".join(part if part.startswith("`") else _prose(part) for part in parts)


def _prose(text: str) -> str:
    pieces: list[str] = []
    end = 0
    for found in CODE.finditer(text):
        word = found[0].rstrip(".")
        pieces += [_escaped(text[end : found.start()]), f"`{word}`"]
        end = found.start() + len(word)
    return "".join([*pieces, _escaped(text[end:])])


def _escaped(text: str) -> str:
    return re.sub(r"([*_$\[\]])", r"\\\1", text).replace("<", "&lt;")


def code(text: str) -> str:
    """Return text as inline code; nothing for nothing."""
    return f"`{text}`" if text else ""


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Return a table; a bar in a cell is written so that it ends no cell."""
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    lines += [
        "| " + " | ".join(cell.replace("|", "&#124;" if "`" not in cell else "\\|") for cell in row) + " |"
        for row in rows
    ]
    return "\n".join(lines)


def composed_groups(name: str) -> tuple[Default, ...]:
    """Return the config groups of a command, with the choice by default."""
    options = declared(resolve_name(COMMANDS[name].schema))
    return tuple(Default(one.path, shown(one.default), one.help) for one in options if one.is_group)


def own_keys(name: str) -> tuple[Key, ...]:
    """Return the keys of a command that are not of a config group."""
    return schema_keys(resolve_name(COMMANDS[name].schema))


def schema_keys(schema: type[Section]) -> tuple[Key, ...]:
    """Return the keys that a schema declares, without those of its config groups."""
    options = list(declared(schema))
    groups_of = tuple(f"{one.path}." for one in options if one.is_group)
    own = [one for one in options if not one.is_group and not one.path.startswith(groups_of)]
    return tuple(Key(one.path, shown(one.default), one.help) for one in own)


def shown(value: object) -> str:
    """Return a default as one writes it in YAML, in one line."""
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000).removesuffix("...\n").strip()


def commands_page() -> str:
    """Return docs/reference/commands.md."""
    return "\n".join([COMMANDS_HEAD, *map(_command, COMMANDS)])


def _command(name: str) -> str:
    parts = [f"## {name}", fenced(help_text(name), "text")]
    if chosen := composed_groups(name):
        rows = [[_group_link(entry), code(entry.choice), prose(entry.comment)] for entry in chosen]
        parts.append("It composes one choice of each of these groups:\n\n" + table(["group", "default", ""], rows))
    if keys := own_keys(name):
        parts.append("Its own keys:\n\n" + keys_table(keys))
    for action, schema in COMMANDS[name].actions.items():
        parts.append(f"Keys of `action={action}`:\n\n" + keys_table(schema_keys(resolve_name(schema))))
    if name == "transkd-train":
        parts.append("It also takes " + ", ".join(f"[`{group}`](configs.md#{group})" for group in ADDED) + ".")
    return "\n\n".join(parts) + "\n"


def _group_link(entry: Default) -> str:
    if entry.group == "action":  # its choices are tables of the same page
        return code(entry.group)
    return f"[`{entry.group}`](configs.md#{entry.group})"


def keys_table(keys: tuple[Key, ...]) -> str:
    """Return the table of keys with default and comment."""
    rows = [[code(key.path), code(key.value), prose(key.comment)] for key in keys]
    return table(["key", "default", ""], rows)


def configs_page() -> str:
    """Return docs/reference/configs.md."""
    composed = {name: composed_groups(name) for name in COMMANDS}
    parts = [CONFIGS_HEAD]
    files = groups()
    names = sorted({*files, *(path.partition("/")[0] for path in GROUPS)})
    for name in names:
        choices = [*_section_choices(name), *files.get(name, [])]
        parts += [f"## {name}", ADDED.get(name) or _used_by(name, composed), *_choices(name, choices)]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _section_choices(group: str) -> list[ConfigFile]:
    """Return the choices of a group that are sections of a schema, ``base`` among them."""
    found = []
    for path, section in GROUPS.items():
        folder, _, choice = path.rpartition("/")
        if folder == group:
            keys = tuple(replace(key, path=f"{group}.{key.path}") for key in schema_keys(section))
            about = "" if choice == "base" else (inspect.getdoc(section) or "").partition("\n\n")[0]
            found.append(ConfigFile(CONF / f"{path}.yaml", about, (), keys))
    return found


def _used_by(group: str, composed: dict[str, tuple[Default, ...]]) -> str:
    about, uses = "", []
    for command, defaults in composed.items():
        for entry in defaults:
            if entry.group == group:
                about = about or entry.comment
                default = "none by default" if entry.choice == "null" else f"default `{entry.choice}`"
                uses.append(f"[`{command}`](commands.md#{command}) ({default})")
    actions = [item for command in COMMANDS.values() for item in command.actions.items()]
    asking = [f"`action={action}`" for action, schema in actions if group in options_groups(resolve_name(schema))]
    if asking:
        uses.append(f"`transkd-data` ({', '.join(asking)})")
    return f"{prose(about)}\n\nGroup of {', '.join(uses)}." if about else f"Group of {', '.join(uses)}."


def _choices(group: str, choices: list[ConfigFile]) -> list[str]:
    base = [choice for choice in choices if choice.name == "base"]
    choices = [choice for choice in choices if choice.name != "base"]
    explained = [choice for choice in choices if any(key.comment for key in choice.keys)]
    rows = []
    for choice in choices:
        sets = "keys [below](#" + _anchor(group, choice) + ")" if choice in explained else _sets(choice)
        rows.append([code(choice.name), prose(choice.about), sets])
    parts = [table(["choice", "", "sets"], rows)]
    if base:
        parts.append(
            f"Every choice has these keys, at these values unless it sets another:\n\n{keys_table(base[0].keys)}"
        )
    for choice in explained:
        parts += [f"### {group} {choice.name}", *_inherited(choice), keys_table(choice.keys)]
    return parts


def _anchor(group: str, choice: ConfigFile) -> str:
    return f"{group}-{choice.name}"


def _inherited(choice: ConfigFile) -> list[str]:
    taken = [f"`{entry.group}={entry.choice}`" for entry in choice.defaults if entry.group and entry.choice != "???"]
    needs = [f"`{entry.group}=NAME` has to be given." for entry in choice.defaults if entry.choice == "???"]
    like = [f"Like `{entry.choice}`, and:" for entry in choice.defaults if not entry.group and entry.choice != "base"]
    return (
        [" ".join([*(f"It takes {', '.join(taken)}." for _ in taken[:1]), *needs, *like])]
        if taken or needs or like
        else []
    )


def _unquoted(value: str) -> str:
    return value.strip('"')


def _sets(choice: ConfigFile) -> str:
    entries = [entry.choice if not entry.group else f"{entry.group}={entry.choice}" for entry in choice.defaults]
    settings = [entry for entry in entries if entry != "base"]
    settings += [
        f"{key.path.removeprefix(SWEPT)}={_unquoted(key.value)}"
        for key in choice.keys
        if key.path.rpartition(".")[2] != "name"
    ]
    return "<br>".join(map(code, settings))


PAGES = {"commands.md": commands_page, "configs.md": configs_page, "api.md": api_page}


def stale_pages(folder: Path = REFERENCE) -> list[Path]:
    """Return the stale pages."""
    return [folder / name for name, page in PAGES.items() if _read(folder / name) != NOTE + page()]


def write_pages(folder: Path = REFERENCE) -> None:
    """Write all pages."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(NOTE + page(), encoding="utf-8")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def main() -> None:
    """Write, or check."""
    if sys.argv[1:] == ["--check"]:
        stale = stale_pages()
        sys.exit("\n".join(f"{path.name} is out of date: python scripts/docs_reference.py" for path in stale) or 0)
    if sys.argv[1:]:
        sys.exit(__doc__)
    write_pages()


if __name__ == "__main__":
    main()
