"""What makes a run's config wrong that no type can say: names, classes and options, each looked up where it lives."""

from __future__ import annotations

import importlib
import inspect
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback
from torch.optim import Optimizer

from transkd.errors import ConfigError, did_you_mean
from transkd.options import Problem, as_clause, shown, signature_problems

ALLOWED_PACKAGES = ("transkd", "torch", "timm", "lightning", "torchmetrics")
TARGET = "_target_"

SET_BY_RUN = {
    "callbacks": "callbacks",
    "logger": "logger",
    "plugins": "trainer.precision",
    "default_root_dir": "output",
    "enable_checkpointing": "checkpoint.every_n_steps",
    "use_distributed_sampler": "data.batch_size",
}
"""Options of the Trainer that the run itself sets, and the key for each."""

REFUSALS = (MisconfigurationException, ImportError, ValueError, TypeError)
"""What Lightning's Trainer raises for options that it does not take."""

NOT_FOR_USERS = (
    r".*isinstance\(treespec, LeafSpec\).*",
    r".*callbacks returned in `LightningModule.configure_callbacks` will override.*",
    r".*does not have many workers.*",
    r".*Loading `train_dataloader` to estimate.*",
    r".*It is recommended to use `self.log\(.*sync_dist=True.*",
    r"Grad strides do not match bucket view strides.*",
    r".*module\(s\) in eval mode at the start of training.*",
)


def make(node: Mapping[str, Any], *arguments: Any) -> Any:
    """Return an instance of the class that a checked config names.

    Args:
        node: ``{"_target_": "package.Class", option: value, …}``.
        *arguments: what the run itself passes first.

    Raises:
        ConfigError: the class refuses the values of its options.
    """
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in node.items() if key != TARGET}
    try:
        return _locate(node[TARGET], object)(*arguments, **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{node[TARGET]} refuses its options {options}: {error}") from error


def target_problems(node: Mapping[str, Any], kind: type, path: str = "", *, skip: int = 0) -> list[Problem]:
    """List what is wrong with a class that a config names; nothing outside the allowed packages is imported.

    Args:
        node: as for :func:`make`.
        kind: the class that the target must derive from.
        path: of the node in the config.
        skip: how many arguments the run itself passes first.
    """
    target = node.get(TARGET)
    if not isinstance(target, str):
        return [Problem(path, f"needs {TARGET}: the dotted name of a class derived from {kind.__name__}")]
    if target.split(".")[0] not in ALLOWED_PACKAGES:
        allowed = ", ".join(ALLOWED_PACKAGES)
        return [Problem(path, f"{TARGET} '{target}' is refused: only classes of {allowed} may be named")]
    try:
        found = _locate(target, kind)
    except ConfigError as error:
        return [Problem(path, str(error))]
    if not (inspect.isclass(found) and issubclass(found, kind)):
        return [Problem(path, f"{TARGET} '{target}' is refused: it is not a class derived from {kind.__name__}")]
    given = list(inspect.signature(found).parameters)[:skip]
    return signature_problems(found, {key: value for key, value in node.items() if key != TARGET}, path, given=given)


def _locate(name: str, kind: type) -> Any:
    module_name, _, attribute = name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
        return getattr(module, attribute)
    except AttributeError as error:
        known = [key for key, value in vars(module).items() if inspect.isclass(value) and issubclass(value, kind)]
        hint = f"; {did_you_mean(attribute, known)}" if known else ""
        raise ConfigError(f"{TARGET} '{name}' does not exist: {module_name} has no '{attribute}'{hint}") from error
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{TARGET} '{name}' does not exist ({error})") from error


def optimizer_problems(node: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the class and the options of an optimiser."""
    problems = target_problems(node, Optimizer, skip=1)
    yield from problems
    if not problems:
        try:
            make(node, [torch.zeros(1, requires_grad=True)])
        except ConfigError as error:
            yield Problem("", as_clause(error))


def callback_problems(callbacks: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the classes and the options of callbacks."""
    for name, node in callbacks.items():
        if isinstance(node, Mapping):
            yield from target_problems(node, Callback, name)
        else:
            form = f"{{{TARGET}: lightning.pytorch.callbacks.NAME, option: value}}"
            yield Problem(name, f"give {form} (it is {shown(node)})")


def trainer_problems(options: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield options that do not exist, are set by the run itself, or have a value that Lightning refuses."""
    taken = [key for key in options if key in SET_BY_RUN]
    found = [Problem(key, f"the run itself sets this; the key for it is {SET_BY_RUN[key]}") for key in taken]
    others = {key: value for key, value in options.items() if key not in SET_BY_RUN}
    found += signature_problems(L.Trainer, others, given=tuple(SET_BY_RUN))
    for key in ("accumulate_grad_batches", "check_val_every_n_epoch"):  # Lightning takes 0, and fails in training
        if type(options.get(key)) is int and options[key] < 1:
            found.append(Problem(key, f"give 1 or more (it is {options[key]})"))
    yield from found
    if not found:
        try:
            with quiet_lightning(), warnings.catch_warnings(action="ignore"):
                L.Trainer(**options, logger=False, enable_checkpointing=False)
        except REFUSALS as error:
            yield Problem("", refusal(error, "trainer=default"))


def refusal(error: Exception, otherwise: str) -> str:
    """Return what Lightning's Trainer raised against its options, as a clause, and what to choose ``otherwise``."""
    if "backend found" not in str(error):
        return as_clause(error)
    return (
        f"{as_clause(error).rstrip('!')}; torch sees no such device here, as transkd-doctor shows: choose {otherwise}, "
        "or install a torch for it"
    )


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Leave out Lightning's tips and the warnings that users can do nothing about."""
    loggers = [logging.getLogger(f"lightning.{name}") for name in ("pytorch", "fabric", "pytorch.utilities.rank_zero")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in NOT_FOR_USERS:
            warnings.filterwarnings("ignore", message=message)
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def import_own_modules(values: Mapping[str, Any]) -> None:
    """Import the modules that a config names in ``imports``; what is no list of names is left to the schema.

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
