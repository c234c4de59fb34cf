"""The command line and the environment of a sweep's jobs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.hydra_config import HydraConfig


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set environment variables for as long as the context lasts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def own_command_line(command: str) -> Iterator[None]:
    """Give a job the arguments that would run it alone, which results keep."""
    swept = sys.argv
    sys.argv = [command, *_arguments(HydraConfig.get())]
    try:
        yield
    finally:
        sys.argv = swept


def _arguments(hydra: Any) -> list[str]:
    overrides = [_as_typed(text) for text in hydra.overrides.task]
    sweep = ["-m"] if any(text.lstrip("+").startswith("sweep=") for text in overrides) else []  # what else it sets
    dirs = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
    return [*sweep, *(f"--config-dir={folder}" for folder in dirs), *overrides]


def _as_typed(override: str) -> str:
    """Return an override with its interpolations as people write them: Hydra's sweeper escapes their braces."""
    return re.sub(r"\$\\\{(.*?)\\\}", r"${\1}", override)
