"""The arguments of a command: flags apart from overrides, and overrides as Hydra wants them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

APPENDED_GROUPS = ("experiment", "sweep", "debug")
LAST_WORD = ("sweep", "debug")
OPEN_SECTIONS = ("augment.options", "callbacks", "data.options", "distillation.losses")
OPEN_GROUPS = ("optimizer", "trainer")
_BELOW_OPEN = tuple(f"{section}." for section in (*OPEN_SECTIONS, *OPEN_GROUPS))
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
    """Return arguments as people write them in the form that Hydra takes.

    ``+experiment=x`` and ``experiment=x`` mean the same, and sweep and debug choices have the last word wherever they
    stand.
    A key in a section that takes any option, such as ``trainer.profiler=simple``, needs no ``+``. Flags come
    last: Hydra takes overrides only side by side.
    """
    flags, overrides = split_arguments(arguments)
    plain: list[str] = []
    last: dict[str, list[str]] = {group: [] for group in LAST_WORD}
    for override in overrides:
        name = override.lstrip("+")
        key, equals, _ = name.partition("=")
        if equals and key in APPENDED_GROUPS:
            override = f"+{name}"
        elif equals and (key in OPEN_SECTIONS or key.startswith(_BELOW_OPEN)):
            override = f"++{name}"
        (last[key] if equals and key in LAST_WORD else plain).append(override)
    return [*plain, *(override for group in LAST_WORD for override in last[group]), *flags]


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


def config_dirs(flags: Sequence[str]) -> list[Path]:
    """Return the further folders of configs that flags name."""
    values = [flag.split("=", 1)[1] for flag in flags if flag.startswith(("--config-dir=", "-cd="))]
    values += [after for flag, after in pairwise(flags) if flag in ("--config-dir", "-cd")]
    return [Path(value).resolve() for value in values]
