"""Distillation losses by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from pydantic import BaseModel
from torch import nn

from transkd.distillation.base import DistillationLoss, custom_loss_errors
from transkd.errors import ConfigError, did_you_mean
from transkd.options import Problem, signature_problems

_LOSSES: dict[str, type[DistillationLoss]] = {}

READABLE = frozenset({"embeddings", "features", "labels", "logits"})
"""What a loss can require."""

RESERVED = ("ce", "loss", "lr", "grad_norm", "images_per_s", "data_wait")
"""Names that are logged beside the losses."""

LossClass = TypeVar("LossClass", bound=type[DistillationLoss])


class HasChannels(Protocol):
    """Anything that says how many channels its feature maps have, such as a segmenter."""

    @property
    def channels(self) -> Sequence[int]:
        """Channels of the feature maps, a stage each, shallowest first."""
        ...


def register_loss(name: str) -> Callable[[LossClass], LossClass]:
    """Make a distillation loss available under a name, to :func:`create_loss` and to configurations.

    Args:
        name: the name; it becomes the class's ``name``.

    Returns:
        A class decorator that returns the class. In a notebook, where cells run again, a class replaces the one that it
        has the name of.

    Raises:
        ConfigError: if the name is taken, the class is not a :class:`DistillationLoss`, or its ``requires`` names
            something that does not exist.
    """

    def register(cls: LossClass) -> LossClass:
        if not (inspect.isclass(cls) and issubclass(cls, DistillationLoss)):
            raise ConfigError(
                f"distillation loss '{name}': {getattr(cls, '__name__', cls)} is not a DistillationLoss; "
                "derive it from transkd.DistillationLoss"
            )
        check_name(name)
        former = _LOSSES.get(name, cls)
        same = former.__qualname__ == cls.__qualname__ and former.__module__ == cls.__module__ == "__main__"
        if name in _LOSSES and not same:
            raise ConfigError(
                f"distillation loss '{name}' is registered already, by {former.__name__}; "
                f"choose another name than {', '.join(available_losses())}"
            )
        if not READABLE.issuperset(cls.requires):
            raise ConfigError(
                f"distillation loss '{name}': requires is {cls.requires!r}; it has to be a set of names, such as "
                f"frozenset({{'logits'}}), out of {', '.join(sorted(READABLE))}"
            )
        _LOSSES[name] = cls
        cls.name = name
        return cls

    return register


def check_name(name: object) -> None:
    """Check what is to name a loss, its term of the sum, its config section and its module.

    Raises:
        ConfigError: it is no identifier, or the name of something else.
    """
    if not isinstance(name, str) or not name.isidentifier():
        reason = "use letters, digits and _, as in @register_loss('edges')"
    elif name in RESERVED or hasattr(nn.ModuleDict(), name):
        reason = "the name is reserved for a column of metrics.csv or an attribute of torch's modules; choose another"
    else:
        return
    raise ConfigError(f"a distillation loss cannot be called {name!r}: {reason}")


def available_losses() -> list[str]:
    """Return the names of all registered losses, sorted."""
    return sorted(_LOSSES)


def create_loss(name: str, *, student: HasChannels, teacher: HasChannels, **options: object) -> DistillationLoss:
    """Build a distillation loss, with adapters that fit a student and a teacher.

    Args:
        name: a registered name, see :func:`available_losses`.
        student: the segmenter that learns, or anything with ``.channels``.
        teacher: the segmenter it learns from, or anything with ``.channels``.
        **options: the loss's own options.

    Returns:
        The loss; its parameters train with the student.

    Raises:
        ConfigError: if the name is unknown, an option is unknown, missing or does not fit, or the loss compares patch
            embeddings and one of the two has none.
    """
    check_options(name, options)
    cls = _LOSSES[name]
    for role, segmenter in (("student", student), ("teacher", teacher)):
        reason = getattr(segmenter, "missing_embeddings", None)
        if "embeddings" in cls.requires and reason is not None:
            others = sorted(other for other in _LOSSES if "embeddings" not in _LOSSES[other].requires)
            raise ConfigError(
                f"distillation loss '{name}' compares patch embeddings, and the {role} has none: {reason}; "
                f"use a loss that needs none ({', '.join(others)}), or another {role}"
            )
    build: Callable[..., DistillationLoss] = cls
    with custom_loss_errors(cls, "__init__", "it has to call super().__init__(student_channels, teacher_channels)"):
        return build(student.channels, teacher.channels, **options)


def check_options(name: str, options: Mapping[str, object], *, beside: type[BaseModel] | None = None) -> None:
    """Check what can be known of a loss before student and teacher exist; arguments as of :func:`option_problems`.

    Raises:
        ConfigError: listing all that :func:`option_problems` finds.
    """
    if problems := option_problems(name, options, beside=beside):
        raise ConfigError(f"distillation loss '{name}': {'; '.join(map(str, problems))}")


def option_problems(
    name: str, options: Mapping[str, object], path: str = "", *, beside: type[BaseModel] | None = None
) -> list[Problem]:
    """List that there is no such loss, or its options that are unknown, missing, or have a wrong value.

    Args:
        name: of the loss.
        options: as its constructor declares them after the channels of student and teacher.
        path: of the options in a config.
        beside: what else may stand among them.
    """
    if name not in _LOSSES:
        listing = f"known: {', '.join(available_losses())}"
        hint = did_you_mean(name, _LOSSES)
        full = hint if hint == listing else f"{hint} ({listing})"
        remedy = "a custom one is known once its module is imported: imports=[MODULE], or import MODULE in Python"
        return [Problem(path, f"there is no such loss; {full}; {remedy}")]
    channels = list(inspect.signature(_LOSSES[name]).parameters)[:2]
    return signature_problems(_LOSSES[name], options, path, given=channels, beside=beside)
