"""The words that may come next on a command line: keys, choices and values, found without Hydra."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from transkd.cli.arguments import APPENDED_GROUPS, FLAGS, PARTS_OF_CONFIG, SHOWS_CONFIG, config_dirs, split_arguments
from transkd.cli.config_keys import ConfigKeys
from transkd.cli.help import help_text

LAUNCHERS = ("basic", "joblib", "submitit_local", "submitit_slurm")
_ALTERNATIVES = re.compile(r"(?<![\w.])([a-z][\w.]*)=([\w.-]+(?:\|[\w.-]+)+)")


class Words:
    """What one command takes.

    Args:
        config: its primary config.
    """

    def __init__(self, config: Path) -> None:
        self.config = config
        self.values = _named_values(help_text(config))

    def of_line(self, line: str) -> list[str]:
        """Return all that the last word of a command line may become; nothing where it names a file.

        Args:
            line: the command line up to the cursor, the command's name first.
        """
        words = _split(line)
        if not words:
            return []
        before, current = words[1:-1], words[-1]
        if before and before[-1] in SHOWS_CONFIG:
            return [part for part in PARTS_OF_CONFIG if part.startswith(current)]
        if current.startswith("-"):
            return sorted(flag for flag in FLAGS if flag.startswith(max(current, "--")))
        flags, overrides = split_arguments(before)
        keys = ConfigKeys(self.config, overrides, config_dirs(flags))
        found = self._with_value(current, keys) if "=" in current else self._names(current, keys)
        return sorted(word for word in set(found) if word.startswith(current))

    def _with_value(self, current: str, keys: ConfigKeys) -> Iterator[str]:
        key, _, value = current.partition("=")
        start = current[: len(current) - len(re.split(r"[,\[]", value)[-1])]
        for known in self._values(key.lstrip("+"), keys):
            yield f"{start}{known}"

    def _values(self, key: str, keys: ConfigKeys) -> Sequence[str]:
        if key == "hydra/launcher":
            return LAUNCHERS
        if choices := keys.choices(key):
            return choices
        if isinstance(keys.value(key), bool):
            return ("true", "false")
        return self.values.get(key, ())

    def _names(self, current: str, keys: ConfigKeys) -> Iterator[str]:
        name = current.lstrip("+~")
        sign = current[: len(current) - len(name)]
        section = name.rpartition(".")[0]
        path = f"{section}." if section else ""
        for key, value in keys.below(section):
            ending = "." if isinstance(value, Mapping) else "" if sign == "~" else "="
            yield f"{sign}{path}{key}{ending}"
        if not section:
            appended = {group for group in keys.groups if group in APPENDED_GROUPS}
            yield from (f"{sign}{group}=" for group in (appended if sign == "+" else keys.groups))
            if name.startswith("h"):
                yield f"{sign}hydra/launcher="


def _split(line: str) -> list[str]:
    """Split a line as a shell does; the last word is empty behind a space, and may have a quote that is still open."""
    if not line.strip():
        return []
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    return [*words, ""] if line[-1].isspace() else words


def _named_values(text: str) -> Mapping[str, Sequence[str]]:
    """Return the values that a help text names, as in ``format=onnx|torch``; words in capitals stand for others."""
    found: dict[str, Any] = {}
    for key, alternatives in _ALTERNATIVES.findall(text):
        found.setdefault(key, [value for value in alternatives.split("|") if not value.isupper()])
    return found
