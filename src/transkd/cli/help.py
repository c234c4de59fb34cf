"""The help of a command: ``hydra.help.template`` of its config, read without Hydra."""

from __future__ import annotations

from pathlib import Path

import yaml

EXAMPLES = "\nExamples\n"


def help_text(config: Path) -> str:
    """Return the help that a primary config holds."""
    values = yaml.safe_load(config.read_text(encoding="utf-8"))
    return str(values["hydra"]["help"]["template"]).rstrip()


def short_help(config: Path) -> str:
    """Return what a command does, its examples, and how to see the rest."""
    text = help_text(config)
    what, _, rest = text.partition(EXAMPLES)
    examples = rest.partition("\n\n")[0]
    name = text.partition(":")[0]
    return f"{what.rstrip()}\n{EXAMPLES}{examples}\n\n{name} --help says what else there is."
