"""Mistakes in a loss of one's own, told where they are; in one of transkd they are bugs, and keep their traceback."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from transkd.errors import ConfigError, TransKDError


@contextmanager
def told(cls: type, doing: str, remedy: str) -> Iterator[None]:
    """Tell an error in a class that is not of transkd as one message with its place, and keep it as the cause.

    Args:
        cls: the loss's class.
        doing: what it was asked to do, such as ``"forward"``.
        remedy: what to look at.

    Raises:
        ConfigError: in the place of any other error of such a class, but for memory that ran out.
    """
    try:
        yield
    except (TransKDError, torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        if cls.__module__.partition(".")[0] == "transkd":
            raise
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        name = getattr(cls, "name", cls.__name__)
        raise ConfigError(
            f"distillation loss '{name}' failed in {doing}{_place(cls, error)}: {said}; {remedy}"
        ) from error


def check_result(name: str, result: object) -> Tensor:
    """Return what a loss's forward gave, if it can be a term of the sum.

    Raises:
        ConfigError: if it is no tensor, has more than one number, or a type that has no gradient.
    """
    if not isinstance(result, Tensor):
        given = f"{type(result).__name__} {result!r}" if isinstance(result, int | float) else type(result).__name__
        wrong = "nothing; it has no return" if result is None else given
    elif result.ndim:
        wrong = f"a tensor of shape {tuple(result.shape)}"
    elif not result.is_floating_point():
        wrong = f"a tensor of {result.dtype}"
    else:
        return result
    raise ConfigError(
        f"distillation loss '{name}': forward returned {wrong}. It has to return one number, a floating-point "
        "tensor of shape (), such as (a - b).pow(2).mean()"
    )


def _place(cls: type, error: BaseException) -> str:
    """Return the last line of the class's own file that the error came through, if it did."""
    try:
        file = inspect.getfile(cls)
    except (TypeError, OSError):  # a class of a notebook, whose cell is no file
        file = ""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    if not frames:
        return ""
    line = f" (`{frames[-1].line}`)" if frames[-1].line else ""
    return f", {Path(file).name} line {frames[-1].lineno}{line}"
