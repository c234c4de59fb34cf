"""Modules of the user's own, whose backbones, heads, datasets and losses a config may then name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

from transkd.errors import ConfigError


def import_own_modules(values: Mapping[str, Any]) -> None:
    """Import what a config names in ``imports``, from the current folder too; once imported, again is nothing.

    Args:
        values: the composed config, checked or not: what is no list of names is left to its schema.

    Raises:
        ConfigError: a module is not there, imports something that is not, or has a syntax error.
    """
    names = values.get("imports")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return
    if names and "" not in sys.path:
        sys.path.insert(0, "")
    for name in names:
        try:
            importlib.import_module(name)
        except SyntaxError as error:
            line = f" (`{error.text.strip()}`)" if error.text else ""
            raise ConfigError(
                f"imports: the module '{name}' is not Python: {error.msg}, {error.filename} line {error.lineno}{line}"
            ) from error
        except ImportError as error:
            raise ConfigError(
                f"imports: the module '{name}' cannot be imported ({error}); it is looked for in the current folder too"
            ) from error
