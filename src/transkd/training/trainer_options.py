"""Checks of a config's ``trainer`` section against Lightning's own Trainer."""

from __future__ import annotations

import inspect
import logging
import typing
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import lightning as L
from lightning.fabric.utilities.exceptions import MisconfigurationException
from pydantic import ConfigDict, TypeAdapter, ValidationError

from transkd.errors import did_you_mean
from transkd.training.problems import Problem, as_clause, shown

OWNED_BY_RUN = {
    "callbacks": "callbacks",
    "logger": "logger",
    "plugins": "trainer.precision",
    "default_root_dir": "output",
    "enable_checkpointing": "checkpoint.every_n_steps",
    "use_distributed_sampler": "data.batch_size",
}
TRAINER_KEYS = set(inspect.signature(L.Trainer.__init__).parameters) - {"self"}
NO_BACKEND = "torch sees no such device here, as transkd-doctor shows: choose {otherwise}, or install a torch for it"
REFUSALS = (MisconfigurationException, ImportError, ValueError, TypeError)
AT_LEAST_ONE = ("accumulate_grad_batches", "check_val_every_n_epoch")


def trainer_problems(options: Mapping[str, Any]) -> list[Problem]:
    """List the options that do not exist, are the run's own, or have a value that Lightning refuses."""
    problems = [problem for key, value in options.items() for problem in _option_problems(key, value)]
    return problems or list(_refused_together(options))


def refusal(error: Exception, otherwise: str) -> str:
    """Return what Lightning's Trainer says against its options, one of ``REFUSALS``, as a clause.

    Args:
        error: the refusal.
        otherwise: what to choose in place of a device that is not there.
    """
    missing = "backend found" in str(error)
    return as_clause(error).rstrip("!") + (f"; {NO_BACKEND.format(otherwise=otherwise)}" if missing else "")


def is_endless(options: Mapping[str, Any]) -> bool:
    """Return whether neither steps nor epochs end a training; ``max_time`` alone ends it nobody knows at which step."""
    steps, epochs = options.get("max_steps", -1), options.get("max_epochs")
    if epochs is None:
        epochs = 1000 if options.get("max_time") is None else -1  # as Lightning takes it
    return bool(steps == -1 and epochs == -1)


def _option_problems(key: str, value: object) -> Iterator[Problem]:
    path = f"trainer.{key}"
    if key in OWNED_BY_RUN:
        yield Problem(path, f"the run itself sets this; the key for it is {OWNED_BY_RUN[key]}")
    elif key not in TRAINER_KEYS:
        hint = did_you_mean(key, TRAINER_KEYS - OWNED_BY_RUN.keys()).replace("mean '", "mean 'trainer.")
        yield Problem(path, f"Lightning's Trainer has no such option; {hint}")
    elif key in AT_LEAST_ONE and isinstance(value, int) and value < 1:
        yield Problem(path, f"give 1 or more (it is {shown(value)})")
    else:
        kind = typing.get_type_hints(L.Trainer.__init__)[key]
        try:
            TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(value, strict=True)
        except ValidationError:
            yield Problem(path, f"give {_kind(kind)} (it is {shown(value)})")


def _kind(kind: Any) -> str:
    """Say what a type takes from a config: classes that no config can hold are left out."""
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}
    choices: list[str] = []
    for member in typing.get_args(kind) if typing.get_origin(kind) is typing.Union else (kind,):
        if typing.get_origin(member) is typing.Literal:
            choices += [str(choice) for choice in typing.get_args(member)]
        elif typing.get_origin(member) is list:
            choices.append("a list")
        elif member in words:
            choices.append(words[member])
    *most, last = dict.fromkeys(choices)
    return f"{', '.join(most)} or {last}" if most else last


def _refused_together(options: Mapping[str, Any]) -> Iterator[Problem]:
    notices = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = notices.level
    notices.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            L.Trainer(**options, logger=False, enable_checkpointing=False)
    except REFUSALS as error:
        yield Problem("trainer", refusal(error, "trainer=default"))
    finally:
        notices.setLevel(level)
