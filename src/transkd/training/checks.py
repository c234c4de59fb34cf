"""Checks of a config that no type can say: names, options and targets that must exist, each found in its registry."""

from __future__ import annotations

import importlib
import inspect
import logging
import sys
import typing
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from pydantic import ConfigDict, TypeAdapter, ValidationError

from transkd.data import ClassSet, available_datasets
from transkd.data.datasets import classes_of, get_layout
from transkd.data.transforms import RECIPES, build_transform
from transkd.distillation import check_options, create_loss
from transkd.distillation.registry import check_name
from transkd.errors import ConfigError, DataError, did_you_mean
from transkd.models import Segmenter, create_segmenter
from transkd.models.backbones import find_backbone
from transkd.models.checks import SMALLEST_SIDE
from transkd.models.heads import find_head
from transkd.training.problems import Problem, as_clause, shown
from transkd.training.weight_schedules import WEIGHING, weight_problems

ALLOWED_PACKAGES = ("transkd", "torch", "timm", "lightning", "torchmetrics")
TARGET = "_target_"


def check_target(node: Mapping[str, Any], base: str, *, skip_first: bool = False) -> type:
    """Check that a config node names a class that may be made from a config, with options that it takes.

    Args:
        node: ``{"_target_": "package.Class", option: value, …}``.
        base: dotted name of the class that the target must derive from.
        skip_first: the target's first argument is not an option but given by the run.

    Returns:
        The class.

    Raises:
        ConfigError: for a target outside the allowed packages, that does not exist or is of another kind, and
            for options that it does not take.
    """
    problems = target_problems(node, base, skip_first=skip_first)
    if problems:
        raise ConfigError("; ".join(problems))
    kind = _locate(node[TARGET], _locate(base))
    assert isinstance(kind, type)
    return kind


def target_problems(node: Mapping[str, Any], base: str, *, skip_first: bool = False) -> list[str]:
    """List what :func:`check_target` objects to, one line each; nothing outside the allowed packages is imported."""
    target = node.get(TARGET)
    if not isinstance(target, str):
        return [f"needs {TARGET}: the dotted name of a class derived from {base}"]
    if target.split(".")[0] not in ALLOWED_PACKAGES:
        return [f"{TARGET} '{target}' is refused: only classes of {', '.join(ALLOWED_PACKAGES)} may be named"]
    try:
        wanted = _locate(base)
        kind = _locate(target, wanted)
    except ConfigError as error:
        return [str(error)]
    if not (inspect.isclass(kind) and issubclass(kind, wanted)):
        return [f"{TARGET} '{target}' is refused: it is not a class derived from {base}"]
    parameters = list(inspect.signature(kind.__init__).parameters.values())[2 if skip_first else 1 :]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return []
    known = [parameter.name for parameter in parameters]
    return [
        f"{target} takes no option '{option}'; {did_you_mean(option, known)}"
        for option in node
        if option not in (TARGET, *known)
    ]


def make(node: Mapping[str, Any], base: str, *arguments: Any) -> Any:
    """Check a node as :func:`check_target` does and return an instance, made with ``arguments`` first.

    Raises:
        ConfigError: as :func:`check_target`, and where the class refuses the options' values.
    """
    kind = check_target(node, base, skip_first=bool(arguments))
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in node.items() if key != TARGET}
    try:
        return kind(*arguments, **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{node[TARGET]} refuses its options {options}: {error}") from error


def _locate(name: str, base: type | None = None) -> Any:
    module_name, _, attribute = name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{TARGET} '{name}' does not exist ({error})") from error
    if not hasattr(module, attribute):
        hint = f"; {did_you_mean(attribute, _callback_classes(module, base))}" if base else ""
        raise ConfigError(f"{TARGET} '{name}' does not exist: {module_name} has no '{attribute}'{hint}")
    return getattr(module, attribute)


def _callback_classes(module: ModuleType, base: type) -> list[str]:
    return [name for name, kind in vars(module).items() if inspect.isclass(kind) and issubclass(kind, base)]


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


OPTIMIZER = "torch.optim.Optimizer"


def setting_problems(values: Mapping[str, Any], known: Iterable[Problem]) -> list[Problem]:
    """List what does not exist or does not fit among the names and options of a config.

    Args:
        values: the config, plain containers.
        known: the schema's problems; a check that would read a value with a problem is left out.
    """
    found: list[Problem] = []
    wrong = list(known)
    for check, paths in _CHECKS.items():
        if not any(problem.touches(path) for problem in wrong for path in paths):
            found += check(values)
    return found


def dataset_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the dataset's name and options, for any command whose config has ``data``."""
    data = values["data"]
    name = data["name"]
    if name not in available_datasets():
        yield Problem("data.name", f"there is no dataset '{name}'; {did_you_mean(name, available_datasets())}")
        return
    layout = get_layout(name)
    unknown = data["options"].keys() - set(layout.options)
    for option in unknown:
        hint = did_you_mean(option, layout.options) if layout.options else "it takes none"
        yield Problem(f"data.options.{option}", f"{layout.title} has no such option; {hint}")
    if not unknown and isinstance(classes := _classes(data), ConfigError):
        yield Problem("", as_clause(classes))


def _class_weights(values: Mapping[str, Any]) -> Iterator[Problem]:
    data, wished = values["data"], values["objective"]["class_weights"]
    if data["name"] not in available_datasets() or wished == "none":
        return
    classes = _classes(data)
    if classes is None or isinstance(classes, ConfigError):
        return  # told by another check, or once the data is read
    title, count = get_layout(data["name"]).title, classes.num_classes
    if wished == "dataset" and classes.weights is None:
        yield Problem("objective.class_weights", f"{title} has no published ones; give {count} numbers, or none")
    if wished != "dataset" and len(wished) != count:
        yield Problem("objective.class_weights", f"give {count} numbers, one a class (there are {len(wished)})")


def _classes(data: Mapping[str, Any]) -> ClassSet | ConfigError | None:
    """Return the dataset's classes, or what is wrong with its options; None where its files do not tell them."""
    try:
        return classes_of(data["name"], data["root"], **data["options"])
    except ConfigError as error:
        return error
    except DataError:
        return None


def _augmentation(values: Mapping[str, Any]) -> Iterator[Problem]:
    recipe, options = values["augment"]["recipe"], values["augment"]["options"]
    if recipe not in RECIPES:
        yield Problem("augment.recipe", f"there is no augmentation '{recipe}'; {did_you_mean(recipe, RECIPES)}")
        return
    for key, value in options.items():
        yield from _refused(f"augment.options.{key}", recipe, 64, {key: value})
    yield from _small_crop(options.get("crop"))


def _augmentation_of_size(values: Mapping[str, Any]) -> Iterator[Problem]:
    augment = values["augment"]
    if not list(_augmentation(values)):
        yield from _refused("augment", augment["recipe"], values["data"]["size"], augment["options"])


def _small_crop(crop: object) -> list[Problem]:
    sides = crop if isinstance(crop, list) else [crop]
    if any(isinstance(side, int) and side < SMALLEST_SIDE for side in sides):
        return [Problem("augment.options.crop", f"give {SMALLEST_SIDE} pixels or more a side (it is {shown(crop)})")]
    return []


def _refused(path: str, recipe: str, size: object, options: Mapping[str, Any]) -> Iterator[Problem]:
    try:
        build_transform(recipe, size, **options)
    except ConfigError as error:
        message = as_clause(error)
        for key, value in options.items():
            said = f"{key}={value!r}: "
            if message.startswith(said):
                message = f"{message.removeprefix(said)} (it is {shown(value)})"
        yield Problem(path, message)


def _segmenters(values: Mapping[str, Any]) -> Iterator[Problem]:
    for role in ("student", "teacher"):
        wished = values[role]
        if wished["backbone"] not in (None, "???"):  # the weights tell what it is, or another check that it is missing
            yield from _refused_name(f"{role}.backbone", find_backbone, wished["backbone"])
        if wished["head"] is not None:
            yield from _refused_name(f"{role}.head", find_head, wished["head"])
        if wished["pretrained"] is not False and wished["weights"] not in (None, "scratch", "pretrained"):
            yield Problem(f"{role}.pretrained", f"contradicts {role}.weights={wished['weights']}; give one of the two")


def _refused_name(path: str, find: Callable[[str], object], name: str) -> Iterator[Problem]:
    try:
        find(name)
    except ConfigError as error:
        yield Problem(path, as_clause(error))


@cache
def _probe(backbone: str) -> Segmenter:
    """Return a segmenter without values."""
    with torch.device("meta"):
        return create_segmenter(backbone)


def _weights(values: Mapping[str, Any]) -> Iterator[Problem]:
    for name, setting in values["distillation"]["losses"].items():
        path = f"distillation.losses.{name}"
        yield from weight_problems(path, setting.get("weight", 1.0), setting.get("schedule"))


def _length(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield that a schedule spans a training of unknown length."""
    if not is_endless(values["trainer"]):
        return
    losses = values["distillation"]["losses"]
    spanning = [f"distillation.losses.{name}.schedule" for name, setting in losses.items() if setting.get("schedule")]
    spanning += ["schedule.name=poly"] if values["schedule"]["name"] == "poly" else []
    if spanning:
        yield Problem(
            "trainer.max_epochs",
            f"the training's length is unknown, and {', '.join(spanning)} spans it: give trainer.max_epochs or "
            "trainer.max_steps (trainer.max_time may end it earlier)",
        )


def _losses(values: Mapping[str, Any]) -> Iterator[Problem]:
    wished = values["distillation"]["losses"]
    backbones = [values[role]["backbone"] for role in ("student", "teacher")]
    if not wished:
        return
    try:
        pair = None if None in backbones or "???" in backbones else [_probe(backbone) for backbone in backbones]
    except (ConfigError, RuntimeError):
        pair = None  # told by another check; or a backbone of the user's own that cannot be built without values
    for name, setting in wished.items():
        path = f"distillation.losses.{name}"
        options = {key: value for key, value in setting.items() if key not in WEIGHING}
        try:
            check_name(name)
            check_options(name, options)
            if pair is not None:
                create_loss(name, student=pair[0], teacher=pair[1], **options)
        except ConfigError as error:
            yield Problem(path, as_clause(error))


def _optimizer(values: Mapping[str, Any]) -> Iterator[Problem]:
    node = values["optimizer"]
    problems = target_problems(node, OPTIMIZER, skip_first=True)
    yield from (Problem("optimizer", problem) for problem in problems)
    if not problems:
        parameters = inspect.signature(check_target(node, OPTIMIZER, skip_first=True)).parameters
        yield from list(_wrong_kinds(node, parameters)) or _refused_optimizer(node)


def _refused_optimizer(node: Mapping[str, Any]) -> Iterator[Problem]:
    try:
        make(node, OPTIMIZER, [torch.zeros(1, requires_grad=True)])
    except ConfigError as error:
        yield Problem("optimizer", as_clause(error))


def _wrong_kinds(node: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter]) -> Iterator[Problem]:
    """Yield the options that are text where the default is a number or a truth value."""
    for option, value in node.items():
        default = parameters[option].default if option in parameters else None
        if isinstance(default, int | float) and isinstance(value, str):
            wanted = "true or false" if isinstance(default, bool) else "a number"
            yield Problem(f"optimizer.{option}", f"give {wanted} (it is {shown(value)})")


def _callbacks(values: Mapping[str, Any]) -> Iterator[Problem]:
    for name, node in values["callbacks"].items():
        for problem in target_problems(node, "lightning.pytorch.callbacks.Callback"):
            yield Problem(f"callbacks.{name}", problem)


def _trainer(values: Mapping[str, Any]) -> list[Problem]:
    return trainer_problems(values["trainer"])


_CHECKS = {
    dataset_problems: ("data.name", "data.options", "data.root"),
    _class_weights: ("data.name", "data.options", "data.root", "objective.class_weights"),
    _augmentation: ("augment.recipe", "augment.options"),
    _augmentation_of_size: ("augment.recipe", "augment.options", "data.size"),
    _segmenters: ("student", "teacher"),
    _weights: ("distillation.losses",),
    _length: ("trainer", "schedule", "distillation.losses"),
    _losses: ("distillation.losses", "student.backbone", "teacher.backbone"),
    _optimizer: ("optimizer",),
    _callbacks: ("callbacks",),
    _trainer: ("trainer",),
}


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
