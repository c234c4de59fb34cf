"""What the commands share: finding conf/, help and version at once, ending without a traceback.

Hydra is imported by what needs it, so that ``--help``, ``--version`` and shell completion come in a blink.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from transkd.cli.arguments import SWEEPS, split_arguments, users_form
from transkd.cli.ending import ending_well, say, show
from transkd.errors import ConfigError, TransKDError

if TYPE_CHECKING:
    from transkd.cli.sweeps import Outcome

__all__ = ["SWEEPS", "config_folder", "run_app"]

Command = Callable[[dict[str, Any]], "Outcome | None"]
Check = Callable[[dict[str, Any]], Sequence[object]]
DO_WITHOUT = ("transkd-profile", "transkd-report", "transkd-doctor")
"""Commands that do something of use, and nothing that lasts, when they are called with no arguments."""


def config_folder() -> Path:
    """Return the folder of the config groups: inside an installed wheel, or at the top of a checkout.

    Raises:
        ConfigError: where there is neither.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parents[1] / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise ConfigError(f"the config groups are missing beside {package}: install transkd again")


def run_app(name: str, config_name: str, command: Command, check: Check) -> NoReturn:
    """Run a command of ``key=value`` arguments and leave the process.

    Args:
        name: what errors are prefixed with, such as ``"transkd-train"``.
        config_name: the primary config.
        command: what to do with the composed config, in plain containers; may say what a sweep's table shows of it.
        check: lists what is wrong with it, so that it can be told together with what is wrong with the arguments.

    Exit codes: 0 done, 1 an error of files or of the run, 2 a mistake in the config, 128 + n stopped by signal n;
    of a sweep, the largest of its jobs'.
    """
    with ending_well(name):
        try:
            folder = config_folder()
            sys.argv[1:] = users_form(sys.argv[1:])
            code = _shown(name, folder / f"{config_name}.yaml")
            if code is None:
                from transkd.cli.hydra_app import run_hydra

                code = run_hydra(name, folder, config_name, command, check)
        except TransKDError as error:
            code = say(name, error)
        sys.exit(code)


def _shown(name: str, config: Path) -> int | None:
    """Print what needs no Hydra, if it is asked for, and return the exit code."""
    flags, overrides = split_arguments(sys.argv[1:])
    if any(flag in ("-sc", "--shell-completion") for flag in flags):
        from transkd.cli.completion import complete

        return complete(config, overrides)
    if "--version" in flags:
        from importlib.metadata import version

        show(f"transkd {version('transkd')}")
        return 0
    if "--help" in flags or "-h" in flags:
        from transkd.cli.help import help_text

        show(help_text(config))
        return 0
    if not flags and not overrides and name not in DO_WITHOUT:
        from transkd.cli.help import short_help

        print(short_help(config), file=sys.stderr)
        return 2
    return None
