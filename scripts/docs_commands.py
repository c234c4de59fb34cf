"""The pages of commands and of config groups, read off conf/ and the commands' own code."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pkgutil import resolve_name

import yaml
from docs_configs import CONF, ConfigFile, Default, Key, groups
from docs_markdown import code, fenced, prose, table

from transkd.cli.commands import COMMANDS
from transkd.cli.help import help_text
from transkd.options import Section, declared
from transkd.options import groups as options_groups
from transkd.training.config import GROUPS

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
