"""The pages of commands and of config groups, read off conf/ and the commands' own code."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import yaml
from docs_configs import CONF, ConfigFile, Default, Key, groups, read_config
from docs_markdown import code, fenced, prose, table

TOP = CONF.parent
COMMANDS_HEAD = """# Commands

Arguments are `KEY=VALUE`, without dashes. `KEY` is any key below, or any of the [config groups](configs.md) that a
command composes. What is not there is refused before anything runs, with what you may have meant.

| argument | means |
| --- | --- |
| `KEY=VALUE` | set a key; `KEY=[a,b]` a list, `KEY={a:1}` a mapping, `KEY=null` nothing |
| `GROUP=CHOICE` | take another choice of a config group |
| `+KEY=VALUE` | add a key that the config does not have, such as a further loss |
| `~KEY` | take a key away |
| `--help` | what the command does, examples, the keys that people set |
| `--cfg job` | print all that is composed, with every key, and do nothing |
| `-m` | a sweep: `KEY=a,b,c` makes a job of each value, [sweeps](../sweeps.md) |
| `--config-dir=FOLDER` | also look for choices in a folder of yours, laid out like `conf/` |

Square brackets, braces, spaces and `$` need quotes in a shell: `'data.size=[360,480]'`. A default of `???` has to be
given. Exit codes are on [their own page](exit_codes.md), files on [theirs](files.md).
"""
CONFIGS_HEAD = """# Config groups

A group is a folder of `conf/`, a choice one of its files: `GROUP=CHOICE` takes it, `KEY=VALUE` changes a key of it.
`transkd-train +experiment=NAME --cfg job` prints what a command line composes, with every key. Choices of your own lie
in a folder that is laid out like `conf/` and named by `--config-dir=FOLDER`.
"""
ADDED = {
    "debug": "Added to `transkd-train` by `debug=NAME`: small runs that find mistakes.",
    "experiment": "Added to `transkd-train` by `+experiment=NAME`: a whole recipe, whose keys can all be changed.",
    "sweep": "Added to `transkd-train -m` by `sweep=NAME`: what is compared, [sweeps](../sweeps.md).",
}
SWEPT = "hydra.sweeper.params."


def command_configs() -> dict[str, str]:
    """Return every command of the package with the name of its primary config, in the order of pyproject.toml."""
    scripts = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    return {command: _config_name(command, entry.partition(":")[0]) for command, entry in scripts.items()}


def _config_name(command: str, module: str) -> str:
    tree = ast.parse((TOP / "src" / Path(*module.split("."))).with_suffix(".py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "run_app":
            name, config = (argument.value for argument in node.args[:2] if isinstance(argument, ast.Constant))
            assert name == command, f"{module} calls itself {name}, pyproject.toml {command}"
            return str(config)
    raise ValueError(f"{module} has no run_app(NAME, CONFIG, …), which the reference is read off")


def commands_page() -> str:
    """Return docs/reference/commands.md."""
    return "\n".join([COMMANDS_HEAD, *(_command(name, config) for name, config in command_configs().items())])


def _command(name: str, config_name: str) -> str:
    config = read_config(CONF / f"{config_name}.yaml")
    help_text = yaml.safe_load(config.path.read_text(encoding="utf-8"))["hydra"]["help"]["template"]
    parts = [f"## {name}", fenced(help_text, "text")]
    if config.defaults:
        rows = [[_group_link(entry), code(entry.choice), prose(entry.comment)] for entry in config.defaults]
        parts.append("It composes one choice of each of these groups:\n\n" + table(["group", "default", ""], rows))
    if config.keys:
        parts.append("Its own keys:\n\n" + keys_table(config.keys))
    if name == "transkd-train":
        parts.append("It also takes " + ", ".join(f"[`{group}`](configs.md#{group})" for group in ADDED) + ".")
    return "\n\n".join(parts) + "\n"


def _group_link(entry: Default) -> str:
    return f"[`{entry.group}`](configs.md#{entry.group})"


def keys_table(keys: tuple[Key, ...]) -> str:
    """Return the table of keys with default and comment."""
    rows = [[code(key.path), code(key.value), prose(key.comment)] for key in keys]
    return table(["key", "default", ""], rows)


def configs_page() -> str:
    """Return docs/reference/configs.md."""
    composed = {command: read_config(CONF / f"{config}.yaml").defaults for command, config in command_configs().items()}
    parts = [CONFIGS_HEAD]
    for name, choices in groups().items():
        parts += [f"## {name}", ADDED.get(name) or _used_by(name, composed), *_choices(name, choices)]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _used_by(group: str, composed: dict[str, tuple[Default, ...]]) -> str:
    about, uses = "", []
    for command, defaults in composed.items():
        for entry in defaults:
            if entry.group == group:
                about = about or entry.comment
                default = "none by default" if entry.choice == "null" else f"default `{entry.choice}`"
                uses.append(f"[`{command}`](commands.md#{command}) ({default})")
    actions = [read_config(path) for path in sorted((CONF / "action").glob("*.yaml"))]
    asking = [f"`action={action.name}`" for action in actions if any(entry.group == group for entry in action.defaults)]
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
            f"Every choice has these keys, at these values where it says nothing else:\n\n{keys_table(base[0].keys)}"
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
