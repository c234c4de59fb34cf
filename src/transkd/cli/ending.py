"""How a command ends: with its exit code and a message, whatever a person, a pipe or a terminal does to it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

from transkd.errors import ConfigError, TransKDError


@contextmanager
def ending_well(name: str) -> Iterator[None]:
    """Let a command end without a traceback where nobody reads on, or on Ctrl-C; what it prints is always printable.

    Args:
        name: what the message is prefixed with, such as ``"transkd-eval"``.

    Exit codes: the command's own; 128 + n where it was stopped by Ctrl-C, or because its output was closed.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")
    try:
        with _flushed():
            yield
    except BrokenPipeError:
        sys.exit(nobody_reads())
    except KeyboardInterrupt:
        print(f"\n{name}: stopped before it was done", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


@contextmanager
def _flushed() -> Iterator[None]:
    """Flush standard output at the end; that nobody reads it is an error of what had none."""
    try:
        yield
    except BaseException as error:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            if isinstance(error, SystemExit) and not error.code:
                raise
            nobody_reads()
        raise
    sys.stdout.flush()


def show(text: str) -> None:
    """Print what was asked for; it is no error if nobody reads it to the end."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        nobody_reads()


def say(name: str, error: TransKDError) -> int:
    """Print an error as one message, from the first process only, and return its exit code."""
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
    return 2 if isinstance(error, ConfigError) else 1


def nobody_reads() -> int:
    """Give standard output a place to go, else Python complains of it once more when it ends.

    Returns:
        The exit code of what ends for this reason.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE
