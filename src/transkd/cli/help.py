"""The help of a command: its schema's docstring, then its options by heading, with values, defaults and choices."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator, Sequence
from pkgutil import resolve_name
from textwrap import TextWrapper
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from transkd.cli.commands import COMMANDS, Command, config_folder
from transkd.options import REQUIRED, Declared, Section, as_clause, declared, shown

COLUMNS = 79
INDENT = 26
"""Column at which the text about an option begins."""
BASE = "base"
"""The file of a group that holds what its choices share, and is no choice itself."""
PLACEHOLDERS = {int: "N", float: "X", str: "…", bool: "true|false", dict: "{…}", list: "[…]", tuple: "[…]"}


def help_text(name: str) -> str:
    """Return all that a command takes."""
    command = COMMANDS[name]
    schema = resolve_name(command.schema)
    opening, notes = _docstring(name, schema)
    parts = [opening, *_option_blocks(command, schema), *notes, f"Every key with its default: {name} --cfg job"]
    return "\n\n".join(parts)


def short_help(name: str) -> str:
    """Return what a command does, its examples, and where the rest is."""
    opening, _ = _docstring(name, resolve_name(COMMANDS[name].schema))
    return f"{opening}\n\n{name} --help lists all options."


def choices(group: str) -> list[str]:
    """Return the choices of a config group: the files of its folder in ``conf/``, and those that are sections."""
    from transkd.training.config import GROUPS

    sections = {choice.rpartition("/")[2] for choice in GROUPS if choice.rpartition("/")[0] == group}
    return sorted(({path.stem for path in (config_folder() / group).glob("*.yaml")} | sections) - {BASE})


def _docstring(name: str, schema: type[Section]) -> tuple[str, list[str]]:
    """Return the first line with the examples, and the paragraphs after them."""
    first, *paragraphs = (inspect.getdoc(schema) or "").split("\n\n")
    examples = [text for text in paragraphs if text.startswith("Examples:")]
    notes = [text for text in paragraphs if text not in examples]
    what = TextWrapper(COLUMNS).fill(f"{name}: {as_clause(Exception(first))}.")
    return "\n\n".join([what, *examples]), notes


def _option_blocks(command: Command, schema: type[Section]) -> Iterator[str]:
    """Yield a block for each heading; of actions, one for each, and one of what several of them have in sections."""
    if command.added:
        groups = [_line(f"+{group}=NAME", about, "", choices(group)) for group, about in command.added.items()]
        yield _block("Config groups to add", groups)
    shared: dict[str, Declared] = {}
    for action, named in command.actions.items():
        kind = resolve_name(named)
        own = [one for one in declared(kind) if one.path != "action"]
        shared |= {one.path: one for one in own if "." in one.path}
        title = f"action={action}: {as_clause(Exception(inspect.getdoc(kind) or ''))}"
        yield _block(title, [_option(one) for one in own if "." not in one.path])
    options = [one for one in [*declared(schema), *shared.values()] if not (command.actions and one.path == "action")]
    for heading in dict.fromkeys(one.heading for one in options):
        title = heading or ("Dataset" if command.actions else "Options")
        yield _block(title, [_option(one) for one in options if one.heading == heading])


def _block(heading: str, lines: Sequence[str]) -> str:
    return "\n".join([*TextWrapper(COLUMNS, subsequent_indent="  ").wrap(f"{heading}:"), *lines])


def _option(one: Declared) -> str:
    known = choices(one.path) if one.is_group else []
    value = "NAME" if one.is_group else _placeholder(one.kind)
    default = "the choice's" if one.default == REQUIRED and "." in one.path else _default(one.default)
    return _line(f"{one.path}={value}", one.help, default, known)


def _line(key: str, about: str, default: str, known: Sequence[str]) -> str:
    text = f"{about.removesuffix('.')}: {', '.join(known)}" if known else about
    text = f"{text} ({default})" if default else text
    margin = " " * INDENT
    wrapper = TextWrapper(COLUMNS, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False)

    lines = wrapper.wrap(text)
    if len(key) + 4 <= INDENT and lines:
        return "\n".join([f"  {key}{lines[0][len(key) + 2 :]}", *lines[1:]])
    return "\n".join([f"  {key}", *lines])


def _default(value: Any) -> str:
    if value == REQUIRED:
        return "required"
    if isinstance(value, str):
        return value if value else '""'
    return f"[{','.join(map(_default, value))}]" if isinstance(value, list | tuple) else shown(value)


def _placeholder(kind: Any) -> str:
    """Return what stands for a value of a type: its choices, or a word for its kind."""
    found = dict.fromkeys(_kinds(kind))
    text = "|".join(found)
    return text if 0 < len(text) <= COLUMNS // 2 else "…"


def _kinds(kind: Any) -> Iterator[str]:
    origin = get_origin(kind)
    if origin is Annotated:
        yield from _kinds(get_args(kind)[0])
    elif origin is Literal:
        yield from map(str, get_args(kind))
    elif origin in (Union, types.UnionType):
        for member in get_args(kind):
            yield from _kinds(member)
    elif (known := origin or kind) in PLACEHOLDERS:
        yield PLACEHOLDERS[known]
