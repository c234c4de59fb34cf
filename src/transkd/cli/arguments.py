"""A command line: its options with dashes, and its overrides in the form that Hydra takes."""

from __future__ import annotations

import re
from argparse import ArgumentError, ArgumentParser, Namespace
from collections.abc import Iterator, Sequence

from transkd.errors import ConfigError, did_you_mean
from transkd.runs.command import takes_any_option

LOSSES = "distillation.losses."
LAST_WORD = ("sweep", "debug")
APPENDED_GROUPS = ("experiment", *LAST_WORD)
PATHS = ("model", "model2", "input", "output", "classes", "data.root", "teacher.weights", "student.weights")
SWITCHES = (
    ("--help", "-h"),
    ("--version",),
    ("--hydra-help",),
    ("--resolve",),
    ("--run", "-r"),
    ("--multirun", "-m"),
    ("--shell-completion", "-sc"),
)
WITH_VALUE = (
    ("--package", "-p"),
    ("--config-name", "-cn"),
    ("--config-path", "-cp"),
    ("--config-dir", "-cd"),
    ("--experimental-rerun",),
)
"""Hydra's options, https://hydra.cc/docs/advanced/hydra-command-line-flags/, with ``--cfg`` and ``--info``."""
PLAIN_PATH = re.compile(r"[\w./:@~-]*[a-z_/~][\w./:@~-]*", re.ASCII | re.IGNORECASE)
"""A path that Hydra reads as text without quotes, where it is no number."""


def split_arguments(arguments: Sequence[str]) -> tuple[Namespace, list[str]]:
    """Split a command line into its options and its overrides.

    Raises:
        ConfigError: for an option that does not exist, or whose value is missing or wrong.
    """
    parser = ArgumentParser(add_help=False, exit_on_error=False)
    for names in SWITCHES:
        parser.add_argument(*names, action="store_true")
    for names in WITH_VALUE:
        parser.add_argument(*names)
    parser.add_argument("--cfg", "-c", choices=("job", "hydra", "all"))
    parser.add_argument("--info", "-i", nargs="?", const="all")
    try:
        options, overrides = parser.parse_known_args(arguments)
    except ArgumentError as error:
        raise ConfigError(f"{str(error.argument_name).partition('/')[0]}: {error.message}") from error
    for unknown in (text for text in overrides if text.startswith("-")):
        name, _, value = unknown.partition("=")
        hint = did_you_mean(name, [f"--{option.replace('_', '-')}" for option in vars(options)])
        if not hint.startswith("did"):
            hint = f"keys have no dashes: {name.lstrip('-')}={value or '…'}"
        raise ConfigError(f"{unknown}: there is no such option; {hint}")
    return options, overrides


def users_form(arguments: Sequence[str]) -> list[str]:
    """Return arguments as people write them in the form that Hydra takes.

    ``+experiment=x`` and ``experiment=x`` mean the same, and sweep and debug choices have the last word wherever they
    stand. A key in a section that takes any option, such as ``trainer.profiler=simple``, needs no ``+``. Losses that
    are added to none give the method their name, for ``none`` is the plain student's. Paths with special signs are
    quoted, but not in a sweep, whose commas separate values. Options with dashes come last, written out: Hydra takes
    overrides only side by side.

    Raises:
        ConfigError: for an option with dashes that does not exist, or whose value is missing or wrong.
    """
    options, overrides = split_arguments(arguments)
    plain: list[str] = []
    last: dict[str, list[str]] = {group: [] for group in LAST_WORD}
    for override in overrides if options.multirun else map(_quoted_path, overrides):
        name = override.lstrip("+")
        key, equals, _ = name.partition("=")
        if equals and key in APPENDED_GROUPS:
            override = f"+{name}"
        elif equals and takes_any_option(key):
            override = f"++{name}"
        (last[key] if equals and key in LAST_WORD else plain).append(override)
    plain += _name_of_method(overrides)
    return [*plain, *(override for group in LAST_WORD for override in last[group]), *_written(options)]


def given_keys(overrides: Sequence[str]) -> dict[str, str]:
    """Return the keys that overrides set, with their values as text."""
    return {key.lstrip("+~"): value for key, _, value in (override.partition("=") for override in overrides)}


def quoted(value: str) -> str:
    """Return a value of an override in quotes, as Hydra reads them."""
    before_quotes = re.sub(r"(\\*)'", r"\1\1\\'", value)  # elsewhere, but for the end, a backslash stands for itself
    escaped = re.sub(r"(\\+)$", r"\1\1", before_quotes)
    return f"'{escaped}'"


def _written(options: Namespace) -> Iterator[str]:
    for name, value in vars(options).items():
        if value:
            option = f"--{name.replace('_', '-')}"
            yield option if value is True else f"{option}={value}"


def _name_of_method(overrides: Sequence[str]) -> list[str]:
    """Return ``distillation.name=LOSSES`` where losses are added to none and nothing else names what they make."""
    given = given_keys([override for override in overrides if not override.startswith("~")])
    if given.get("distillation", "none") != "none" or given.keys() & {"experiment", "sweep", "distillation.name"}:
        return []
    added = dict.fromkeys(key[len(LOSSES) :].partition(".")[0] for key in given if key.startswith(LOSSES))
    return [f"distillation.name={'_'.join(added)}"] if added else []


def _quoted_path(override: str) -> str:
    """Put quotes around a path that Hydra would not read as text: ``a b.jpg``, ``x[1].png``, ``über.jpg``, ``2024``.

    What is quoted already, ``null``, and interpolations are unchanged.
    """
    key, equals, value = override.partition("=")
    if not equals or key.lstrip("+") not in PATHS or value in ("", "null") or value[0] in "'\"" or "${" in value:
        return override
    is_text = PLAIN_PATH.fullmatch(value) and not _is_number(value)
    return override if is_text else f"{key}={quoted(value)}"


def _is_number(text: str) -> bool:
    """Return whether Hydra would read a number, as it does of ``1e-3``, ``nan`` and ``2024_11_30``."""
    try:
        float(text)
    except ValueError:
        return False
    return True
