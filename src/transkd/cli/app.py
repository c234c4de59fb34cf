"""From a command line to an exit code: help at once, mistakes in one message, errors without a traceback."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from transkd.cli.arguments import (
    OTHER_CONFIG,
    SHOWS_CONFIG,
    SWEEPS,
    config_dirs,
    has_flag,
    quoted,
    split_arguments,
    users_form,
)
from transkd.cli.commands import COMMANDS, config_folder
from transkd.errors import ConfigError, TransKDError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from transkd.cli.sweep.jobs import Sweep


def main(name: str) -> NoReturn:
    """Run a command of ``key=value`` arguments, and leave the process.

    Args:
        name: the command, such as ``"transkd-train"``; errors are prefixed with it.

    Exit codes: 0 done, 1 an error of files or of the run, 2 a mistake in the config, 128 + n stopped by signal n;
    of a sweep, the largest of its jobs'.
    """
    with _without_traceback(name):
        try:
            sys.argv[1:] = users_form(sys.argv[1:])
            code = _answer(name)
            if code is None:
                code = run_hydra(name)
        except TransKDError as error:
            code = report_error(name, error)
        sys.exit(code)


train, evaluate, predict, export = (partial(main, f"transkd-{name}") for name in ("train", "eval", "predict", "export"))
profile, data, report, doctor = (partial(main, f"transkd-{name}") for name in ("profile", "data", "report", "doctor"))


def report_error(name: str, error: TransKDError) -> int:
    """Print an error as one message, from the first process only, and return its exit code."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(f"{name}: {error}", file=sys.stderr, flush=True)
    return 2 if isinstance(error, ConfigError) else 1


def output_closed() -> int:
    """Replace a standard output that nobody reads any more, else Python complains of it when it ends.

    Returns:
        The exit code of what ends for this reason.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE


def _answer(name: str) -> int | None:
    """Print what needs no Hydra, if it is asked for, and return the exit code."""
    flags, overrides = split_arguments(sys.argv[1:])
    if "--version" in flags:
        from importlib.metadata import version

        print(f"transkd {version('transkd')}", flush=True)
        return 0
    if "--help" in flags or "-h" in flags:
        from transkd.cli.help import help_text

        print(help_text(name), flush=True)
        return 0
    if not flags and not overrides and not COMMANDS[name].does_without:
        from transkd.cli.help import short_help

        print(short_help(name), file=sys.stderr)
        return 2
    return None


def run_hydra(name: str) -> int:
    """Run what the command line in ``sys.argv`` asks for, once it has no mistakes.

    Args:
        name: the command.

    Returns:
        The exit code.

    Raises:
        ConfigError: for mistakes in the arguments, all of them.
    """
    import hydra
    from hydra.errors import HydraException

    from transkd.cli.compose import register
    from transkd.cli.mistakes import plain, refuse_mistakes
    from transkd.cli.progress import starting

    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra raises what goes wrong, instead of printing a part of it
    flags, overrides = split_arguments(sys.argv[1:])
    command, primary = COMMANDS[name], register(name)
    sweep: Sweep | None = None
    checked: dict[str, Any] | None = None
    if not has_flag(flags, "--hydra-help", "--info", "-i", "--shell-completion", "-sc"):
        with starting(name):
            checked = refuse_mistakes(name, flags, overrides, command.problems)
        if has_flag(flags, *SWEEPS) and not has_flag(flags, *OTHER_CONFIG, *SHOWS_CONFIG):
            sweep = _planned(name, flags, overrides)
    codes: list[int] = []

    def job(config: DictConfig) -> None:
        def action() -> Any:
            values = plain(config)
            return command.execute(values, checked=values == checked)

        if sweep is None:
            codes.append(_exit_code(name, action))
        else:
            sweep.run(action)

    app = hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=primary)(job)
    if sweep is not None:
        sys.argv.insert(1, f"hydra.sweep.dir={quoted(str(sweep.plan.folder))}")
        return sweep.launch(app)
    try:
        app()
    except HydraException as error:
        raise ConfigError(" ".join(str(error).split())) from error
    return max(codes, default=0)


def _planned(name: str, flags: Sequence[str], overrides: Sequence[str]) -> Sweep:
    from transkd.cli.mistakes import value_problems
    from transkd.cli.sweep.jobs import Sweep
    from transkd.cli.sweep.plan import plan_sweep

    def check(config: DictConfig) -> Sequence[object]:
        return value_problems(config, COMMANDS[name].problems)

    return Sweep(name, plan_sweep(name, overrides, further_folders=config_dirs(flags), check=check))


def _exit_code(name: str, action: Callable[[], Any]) -> int:
    """Do something; errors that Hydra would print with a traceback become exit codes."""
    try:
        action()
    except TransKDError as error:
        return report_error(name, error)
    except BrokenPipeError:
        return output_closed()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        where = f" that holds {Path(error.filename).absolute()}" if error.filename else ""
        return report_error(name, TransKDError(f"there is no space left on the disk{where}"))
    return 0


@contextmanager
def _without_traceback(name: str) -> Iterator[None]:
    """End with an exit code of 128 + n on Ctrl-C, or where the output is closed; whatever is printed is printable."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        sys.exit(output_closed())
    except KeyboardInterrupt:
        print(f"\n{name}: stopped before it was done", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
