"""What makes a run's config wrong that no type can say: names, classes and options, each looked up where it lives."""

from __future__ import annotations

import importlib
import inspect
import logging
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from transkd.data.datasets import classes_of, get_layout
from transkd.data.transforms import build_transform
from transkd.distillation import create_loss
from transkd.distillation.registry import option_problems
from transkd.errors import ConfigError, DataError, did_you_mean
from transkd.models import Segmenter, create_segmenter
from transkd.models.backbones import find_backbone
from transkd.models.heads import find_head
from transkd.options import REQUIRED, Problem, as_clause, shown, signature_problems
from transkd.training.weight_schedules import Weighing, own_options

if TYPE_CHECKING:
    from transkd.training.config import TrainConfig

ALLOWED_PACKAGES = ("transkd", "torch", "timm", "lightning", "torchmetrics")
TARGET = "_target_"
OPTIMIZER = "torch.optim.Optimizer"
CALLBACK = "lightning.pytorch.callbacks.Callback"


def make(node: Mapping[str, Any], base: str, *arguments: Any) -> Any:
    """Return an instance of the class that a config names.

    Args:
        node: ``{"_target_": "package.Class", option: value, …}``.
        base: dotted name of the class that the target must derive from.
        *arguments: what the run itself passes first; no options.

    Raises:
        ConfigError: for a target outside the allowed packages, that does not exist or is of another kind, and for
            options that it does not take.
    """
    if problems := target_problems(node, base, skip=len(arguments)):
        raise ConfigError("; ".join(map(str, problems)))
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in node.items() if key != TARGET}
    try:
        return _locate(node[TARGET])(*arguments, **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{node[TARGET]} refuses its options {options}: {error}") from error


def target_problems(node: Mapping[str, Any], base: str, path: str = "", *, skip: int = 0) -> list[Problem]:
    """List what :func:`make` objects to; nothing outside the allowed packages is imported.

    Args:
        node: as for :func:`make`.
        base: as for :func:`make`.
        path: of the node in the config.
        skip: how many arguments the run itself passes first.
    """
    target = node.get(TARGET)
    if not isinstance(target, str):
        return [Problem(path, f"needs {TARGET}: the dotted name of a class derived from {base}")]
    if target.split(".")[0] not in ALLOWED_PACKAGES:
        allowed = ", ".join(ALLOWED_PACKAGES)
        return [Problem(path, f"{TARGET} '{target}' is refused: only classes of {allowed} may be named")]
    kind = _locate(base)
    try:
        found = _locate(target, kind)
    except ConfigError as error:
        return [Problem(path, str(error))]
    if not (inspect.isclass(found) and issubclass(found, kind)):
        return [Problem(path, f"{TARGET} '{target}' is refused: it is not a class derived from {base}")]
    given = list(inspect.signature(found).parameters)[:skip]
    return signature_problems(found, {key: value for key, value in node.items() if key != TARGET}, path, given=given)


def _locate(name: str, base: type | None = None) -> Any:
    module_name, _, attribute = name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{TARGET} '{name}' does not exist ({error})") from error
    if not hasattr(module, attribute):
        known = [key for key, kind in vars(module).items() if base and inspect.isclass(kind) and issubclass(kind, base)]
        hint = f"; {did_you_mean(attribute, known)}" if known else ""
        raise ConfigError(f"{TARGET} '{name}' does not exist: {module_name} has no '{attribute}'{hint}")
    return getattr(module, attribute)


def optimizer_problems(node: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the class and the options of an optimiser, as itself says too."""
    problems = target_problems(node, OPTIMIZER, skip=1)
    yield from problems
    if not problems:
        try:
            make(node, OPTIMIZER, [torch.zeros(1, requires_grad=True)])
        except ConfigError as error:
            yield Problem("", as_clause(error))


def callback_problems(callbacks: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the classes and the options of callbacks."""
    for name, node in callbacks.items():
        if isinstance(node, Mapping):
            yield from target_problems(node, CALLBACK, name)
        else:
            form = f"{{{TARGET}: {CALLBACK.rpartition('.')[0]}.NAME, option: value}}"
            yield Problem(name, f"give {form} (it is {shown(node)})")


SET_BY_RUN = {
    "callbacks": "callbacks",
    "logger": "logger",
    "plugins": "trainer.precision",
    "default_root_dir": "output",
    "enable_checkpointing": "checkpoint.every_n_steps",
    "use_distributed_sampler": "data.batch_size",
}
NO_BACKEND = "torch sees no such device here, as transkd-doctor shows: choose {otherwise}, or install a torch for it"
REFUSALS = (MisconfigurationException, ImportError, ValueError, TypeError)
AT_LEAST_ONE = ("accumulate_grad_batches", "check_val_every_n_epoch")


def trainer_problems(options: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield options that do not exist, are set by the run itself, or have a value that Lightning refuses."""
    found = [
        Problem(key, f"the run itself sets this; the key for it is {SET_BY_RUN[key]}")
        for key in options
        if key in SET_BY_RUN
    ]
    found += lightning_problems({k: v for k, v in options.items() if k not in SET_BY_RUN}, given=SET_BY_RUN)
    yield from found
    if not found:
        try:
            with _quiet_lightning():
                L.Trainer(**options, logger=False, enable_checkpointing=False)
        except REFUSALS as error:
            yield Problem("", refusal(error, "trainer=default"))


def lightning_problems(options: Mapping[str, Any], *, given: Collection[str] = ()) -> list[Problem]:
    """List options that Lightning's Trainer does not have, or not with such values.

    Args:
        options: the Trainer's keyword arguments.
        given: those that the caller fills in itself.
    """
    found = signature_problems(L.Trainer, options, given=tuple(given))
    for key in AT_LEAST_ONE:
        if isinstance(value := options.get(key), int) and value < 1:
            found.append(Problem(key, f"give 1 or more (it is {shown(value)})"))
    return found


def refusal(error: Exception, otherwise: str) -> str:
    """Return what Lightning's Trainer says against its options, one of ``REFUSALS``, as a clause.

    Args:
        error: the refusal.
        otherwise: what to choose in place of a device that is not there.
    """
    missing = "backend found" in str(error)
    return as_clause(error).rstrip("!") + (f"; {NO_BACKEND.format(otherwise=otherwise)}" if missing else "")


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    notices = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = notices.level
    notices.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        notices.setLevel(level)


def segmenter_problems(
    backbone: str | None, head: str | None, weights: str | None, pretrained: bool | str
) -> Iterator[Problem]:
    """Yield a backbone or a head that does not exist, and weights that contradict each other."""
    names = (("backbone", find_backbone, backbone), ("head", find_head, head))
    for key, find, name in names:
        if name is not None and name != REQUIRED:
            try:
                find(name)
            except ConfigError as error:
                yield Problem(key, as_clause(error))
    if pretrained is not False and weights not in (None, "scratch", "pretrained"):
        yield Problem("pretrained", f"contradicts weights={weights}; give one of the two")


def loss_problems(losses: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """Yield losses that do not exist, and weights, schedules and options that they do not take."""
    for name, setting in losses.items():
        yield from option_problems(name, setting, f"losses.{name}", beside=Weighing)


def mismatches(config: TrainConfig) -> Iterator[Problem]:
    """Yield what does not fit together in a config whose sections are right, each on its own."""
    yield from _class_weights(config)
    try:
        build_transform(config.augment.recipe, config.data.size, **config.augment.options)
    except ConfigError as error:
        yield Problem("augment", as_clause(error))
    yield from _endless(config)
    yield from _losses(config)


def _class_weights(config: TrainConfig) -> Iterator[Problem]:
    weights = config.objective.class_weights
    if weights == "none":
        return
    try:
        classes = classes_of(config.data.name, config.data.root, **config.data.options)
    except DataError:
        return  # reported when the data is read
    title, count = get_layout(config.data.name).title, classes.num_classes
    if weights == "dataset" and classes.weights is None:
        yield Problem("objective.class_weights", f"{title} has no published ones; give {count} numbers, or none")
    if weights != "dataset" and len(weights) != count:
        yield Problem("objective.class_weights", f"give {count} numbers, one a class (there are {len(weights)})")


def is_endless(options: Mapping[str, Any]) -> bool:
    """Return whether neither steps nor epochs end a training; where ``max_time`` alone does, nobody knows the step."""
    steps, epochs = options.get("max_steps", -1), options.get("max_epochs")
    if epochs is None:
        epochs = 1000 if options.get("max_time") is None else -1  # as Lightning takes it
    return bool(steps == -1 and epochs == -1)


def _endless(config: TrainConfig) -> Iterator[Problem]:
    """Yield that a schedule spans a training of unknown length."""
    if not is_endless(dict(config.trainer)):
        return
    losses = config.distillation.losses.items()
    spanning = [f"distillation.losses.{name}.schedule" for name, setting in losses if setting.get("schedule")]
    spanning += ["schedule.name=poly"] if config.schedule.name == "poly" else []
    if spanning:
        yield Problem(
            "trainer.max_epochs",
            f"the training's length is unknown, and {', '.join(spanning)} spans it: give trainer.max_epochs or "
            "trainer.max_steps (trainer.max_time may end it earlier)",
        )


def _losses(config: TrainConfig) -> Iterator[Problem]:
    """Yield losses that do not fit student and teacher, where both are known before weights are read."""
    student, teacher = config.student.backbone, config.teacher.backbone
    if teacher is None:
        return
    for name, setting in config.distillation.losses.items():
        try:
            create_loss(name, student=_probe(student), teacher=_probe(teacher), **own_options(setting))
        except ConfigError as error:
            yield Problem(f"distillation.losses.{name}", as_clause(error))
        except RuntimeError:
            return  # a custom backbone that cannot be built without values


@cache
def _probe(backbone: str) -> Segmenter:
    """Return a segmenter without values."""
    with torch.device("meta"):
        return create_segmenter(backbone)


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
