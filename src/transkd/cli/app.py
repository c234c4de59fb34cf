"""From a command line to an exit code: help at once, mistakes in one message, errors without a traceback."""

from __future__ import annotations

import errno
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from transkd.cli.arguments import quoted, split_arguments, users_form
from transkd.cli.commands import COMMANDS, config_folder
from transkd.errors import ConfigError, TransKDError

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(name: str) -> NoReturn:
    """Run a command of ``key=value`` arguments, and leave the process.

    Args:
        name: the command, such as ``"transkd-train"``; errors are prefixed with it.

    Exit codes: 0 done, 1 an error of files or of the run, 2 a mistake in the config, 128 + n stopped by signal n;
    of a sweep, the largest of its jobs'.
    """
    for stream in (sys.stdout, sys.stderr):  # whatever is printed is printable
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")
    try:
        try:
            sys.argv[1:] = users_form(sys.argv[1:])
            code = _answer(name, *split_arguments(sys.argv[1:]))
        finally:
            sys.stdout.flush()
    except TransKDError as error:
        code = report_error(name, error)
    except BrokenPipeError:  # nobody reads the output any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        code = report_error(name, TransKDError(f"there is no space left on the disk: {error.filename or Path.cwd()}"))
    except KeyboardInterrupt:
        print(f"\n{name}: stopped before it was done", file=sys.stderr)
        code = 128 + signal.SIGINT
    sys.exit(code)


train, evaluate, predict, export = (partial(main, f"transkd-{name}") for name in ("train", "eval", "predict", "export"))
profile, data, report, doctor = (partial(main, f"transkd-{name}") for name in ("profile", "data", "report", "doctor"))


def report_error(name: str, error: TransKDError) -> int:
    """Print an error as one message, from the first process only, and return its exit code."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(f"{name}: {error}", file=sys.stderr, flush=True)
    return 2 if isinstance(error, ConfigError) else 1


def _answer(name: str, options: Namespace, overrides: Sequence[str]) -> int:
    """Print what needs no Hydra, or run the command; return the exit code."""
    if options.version:
        from importlib.metadata import version

        print(f"transkd {version('transkd')}")
        return 0
    if options.help or (len(sys.argv) == 1 and not COMMANDS[name].does_without):
        from transkd.cli.help import help_text, short_help

        print(help_text(name) if options.help else short_help(name), file=sys.stdout if options.help else sys.stderr)
        return 0 if options.help else 2
    return _run_hydra(name, options, overrides)


def _run_hydra(name: str, options: Namespace, overrides: Sequence[str]) -> int:
    """Check the command line, and run what it asks for."""
    import hydra
    from hydra.errors import HydraException

    from transkd.cli.compose import register
    from transkd.cli.mistakes import plain, refuse_mistakes
    from transkd.cli.progress import starting

    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra raises what goes wrong, instead of printing a part of it
    command, sweep = COMMANDS[name], None
    if not (options.hydra_help or options.info or options.shell_completion):
        with starting(name):
            refuse_mistakes(name, options, overrides)
        if options.multirun and not (options.cfg or options.config_name or options.config_path):
            from transkd.cli.sweep import plan_sweep

            sweep = plan_sweep(name, overrides, config_dir=options.config_dir)
    failures: list[Exception] = []

    def job(config: DictConfig) -> None:
        try:
            if sweep is None:
                command.execute(plain(config))
            else:
                sweep.run(lambda: command.execute(plain(config)))
        except Exception as error:  # raised below: Hydra would print a part of it
            failures.append(error)

    app = hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=register(name))(job)
    if sweep is not None:
        sys.argv.insert(1, f"hydra.sweep.dir={quoted(str(sweep.folder))}")
        return sweep.launch(app)
    try:
        app()
    except HydraException as error:
        raise ConfigError(" ".join(str(error).split())) from error
    if failures:
        raise failures[0]
    return 0
