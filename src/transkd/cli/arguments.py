"""The arguments of a command: options with dashes apart from overrides, and overrides as Hydra wants them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from transkd.errors import did_you_mean
from transkd.runs.command import takes_any_option

LOSSES = "distillation.losses."
APPENDED_GROUPS = ("experiment", "sweep", "debug")
LAST_WORD = ("sweep", "debug")
PATHS = ("model", "model2", "input", "output", "classes", "data.root", "teacher.weights", "student.weights")
SHOWS_CONFIG = ("--cfg", "-c")
OTHER_CONFIG = ("--config-name", "-cn", "--config-path", "-cp")
SWEEPS = ("--multirun", "-m")
CONFIG_DIR = ("--config-dir", "-cd")
FLAGS_WITH_VALUE = (*SHOWS_CONFIG, *OTHER_CONFIG, *CONFIG_DIR, "--package", "-p", "--experimental-rerun")
FLAGS_WITH_OPTION = ("--info", "-i")
PLAIN_FLAGS = ("--help", "-h", "--hydra-help", "--version", "--resolve", "--run", "-r", "--shell-completion", "-sc")
FLAGS = (*PLAIN_FLAGS, *SWEEPS, *FLAGS_WITH_VALUE, *FLAGS_WITH_OPTION)
"""Every option with dashes: Hydra's, https://hydra.cc/docs/advanced/hydra-command-line-flags/."""
PARTS_OF_CONFIG = ("job", "hydra", "all")


def users_form(arguments: Sequence[str]) -> list[str]:
    """Return arguments as people write them in the form that Hydra takes.

    ``+experiment=x`` and ``experiment=x`` mean the same, and sweep and debug choices have the last word wherever they
    stand.
    A key in a section that takes any option, such as ``trainer.profiler=simple``, needs no ``+``. Losses that are
    added to none give the method their name, for ``none`` is the plain student's. Paths with special signs are quoted,
    but not in a sweep, whose commas part values. Flags come last: Hydra takes overrides only side by side. Flags that
    are cut short, ``--multi``, are written out.
    """
    flags, overrides = split_arguments(arguments)
    plain: list[str] = []
    last: dict[str, list[str]] = {group: [] for group in LAST_WORD}
    for override in overrides if has_flag(flags, *SWEEPS) else map(_quoted_path, overrides):
        name = override.lstrip("+")
        key, equals, _ = name.partition("=")
        if equals and key in APPENDED_GROUPS:
            override = f"+{name}"
        elif equals and takes_any_option(key):
            override = f"++{name}"
        (last[key] if equals and key in LAST_WORD else plain).append(override)
    plain += _name_of_method(overrides)
    return [*plain, *(override for group in LAST_WORD for override in last[group]), *flags]


def _name_of_method(overrides: Sequence[str]) -> list[str]:
    """Return ``distillation.name=LOSSES`` where losses are added to none and nothing else names what they make."""
    given = {key.lstrip("+"): value for key, _, value in (override.partition("=") for override in overrides)}
    if given.get("distillation", "none") != "none" or given.keys() & {"experiment", "sweep", "distillation.name"}:
        return []
    added = dict.fromkeys(key[len(LOSSES) :].partition(".")[0] for key in given if key.startswith(LOSSES))
    return [f"distillation.name={'_'.join(added)}"] if added else []


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split a command line into flags (with their values, as two arguments) and overrides."""
    flags: list[str] = []
    overrides: list[str] = []
    takes_value = False
    for argument, after in pairwise([*arguments, "="]):
        if takes_value:
            flags.append(argument)
            takes_value = False
        elif argument.startswith("-"):
            flags.append(_written_out(argument))
            takes_value = _takes_value(flags[-1], after)
        else:
            overrides.append(argument)
    return flags, overrides


def has_flag(flags: Sequence[str], *names: str) -> bool:
    """Return whether one of some names is among the flags."""
    return any(flag.partition("=")[0] in names for flag in flags)


def flag_problems(flags: Sequence[str]) -> Iterator[str]:
    """Yield a line for each flag that does not exist, or whose value is missing or wrong."""
    takes_value = False
    for flag, after in pairwise([*flags, "="]):
        if takes_value:
            takes_value = False
            continue
        name, equals, value = flag.partition("=")
        takes_value = _takes_value(flag, after)
        value = value if equals else after if takes_value else ""
        if name not in FLAGS:
            yield f"{flag}: there is no such option; {_instead(name, value)}"
        elif name in FLAGS_WITH_VALUE and not value:
            yield f"{name}: needs a value: {name} {'job' if name in SHOWS_CONFIG else '…'}"
        elif name in SHOWS_CONFIG and value not in PARTS_OF_CONFIG:
            yield f"{name}: there is no part {value!r} of the config; known: {', '.join(PARTS_OF_CONFIG)}"


def config_dirs(flags: Sequence[str]) -> list[Path]:
    """Return the further folders of configs that flags name."""
    values = [flag.partition("=")[2] for flag in flags if flag.startswith(tuple(f"{name}=" for name in CONFIG_DIR))]
    values += [after for flag, after in pairwise(flags) if flag in CONFIG_DIR]
    return [Path(value).resolve() for value in values]


def _written_out(flag: str) -> str:
    name, equals, value = flag.partition("=")
    meant = [known for known in FLAGS if known.startswith("--") and known.startswith(name)]
    return f"{meant[0]}{equals}{value}" if name not in FLAGS and name != "--" and len(meant) == 1 else flag


def _takes_value(flag: str, after: str) -> bool:
    """Return whether the argument after a flag is its value: of one that does not exist, what cannot be an override."""
    if flag in FLAGS_WITH_VALUE:
        return after != "="
    return (flag in FLAGS_WITH_OPTION or (flag not in FLAGS and "=" not in flag)) and (
        "=" not in after and not after.startswith("-")
    )


def _instead(name: str, value: str) -> str:
    hint = did_you_mean(name, [flag for flag in FLAGS if flag.startswith("--")])
    if not name.strip("-"):
        return "leave it out"
    return hint if hint.startswith("did") else f"keys have no dashes: {name.lstrip('-')}={value or '…'}"


def quoted(value: str) -> str:
    """Return a value of an override in quotes, as Hydra reads them."""
    before_quotes = re.sub(r"(\\*)'", r"\1\1\\'", value)  # elsewhere, but for the end, a backslash stands for itself
    escaped = re.sub(r"(\\+)$", r"\1\1", before_quotes)
    return f"'{escaped}'"


def _quoted_path(override: str) -> str:
    """Put quotes around a path that Hydra would not read as text: ``a b.jpg``, ``x[1].png``, ``über.jpg``, ``2024``.

    What is quoted already, ``null``, and interpolations stay what they are.
    """
    key, equals, value = override.partition("=")
    if not equals or key.lstrip("+") not in PATHS or value in ("", "null") or value[0] in "'\"" or "${" in value:
        return override
    if re.fullmatch(r"[\w./:@~-]*[A-Za-z_/~][\w./:@~-]*", value, re.ASCII) and not _is_number(value):
        return override
    return f"{key}={quoted(value)}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
