"""Distillation losses by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeVar

from pydantic import BaseModel
from torch import nn

from transkd.distillation.base import DistillationLoss, custom_loss_errors
from transkd.errors import ConfigError, did_you_mean
from transkd.options import Problem, signature_problems

_LOSSES: dict[str, type[DistillationLoss]] = {}

READABLE = ("embeddings", "features", "labels", "logits")
"""What a loss can require."""

RESERVED = {
    "ce": "it is the cross-entropy's name",
    "loss": "it is the name of the sum of all terms",
    **dict.fromkeys(("lr", "grad_norm", "images_per_s", "data_wait"), "metrics.csv has a column of that name"),
}
"""Names beside which a loss's own term is logged."""

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
        A class decorator that gives back the class. In a notebook, where cells run again, a class takes the place of
        the one that it has the name of.

    Raises:
        ConfigError: if the name is taken, the class is not a :class:`DistillationLoss`, or its ``requires`` names
            something that there is not.
    """

    def register(cls: LossClass) -> LossClass:
        if not (inspect.isclass(cls) and issubclass(cls, DistillationLoss)):
            raise ConfigError(
                f"distillation loss '{name}': {getattr(cls, '__name__', cls)} is not a DistillationLoss; "
                "derive it from transkd.DistillationLoss"
            )
        check_name(name)
        former = _LOSSES.get(name)
        rewritten = former is not None and (former.__module__, former.__qualname__) == ("__main__", cls.__qualname__)
        if former is not None and not (rewritten and cls.__module__ == "__main__"):
            raise ConfigError(
                f"distillation loss '{name}' is registered already, by {former.__name__}; "
                f"choose another name than {', '.join(available_losses())}"
            )
        _check_requires(name, cls.requires)
        _LOSSES[name] = cls
        cls.name = name
        return cls

    return register


def check_name(name: object) -> None:
    """Check what is to name a loss, its term of the sum, its config section and its module.

    Raises:
        ConfigError: it is no text, no identifier, or the name of something else.
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise ConfigError(
            f"a distillation loss cannot be called {name!r}: give it a name of letters, digits and _, as in "
            "@register_loss('edges')"
        )
    if name in RESERVED:
        raise ConfigError(f"a distillation loss cannot be called '{name}': {RESERVED[name]}; choose another name")
    if hasattr(nn.ModuleDict(), name):
        raise ConfigError(f"a distillation loss cannot be called '{name}': torch's modules have an attribute so named")


def _check_requires(name: str, requires: object) -> None:
    if isinstance(requires, str) or not isinstance(requires, Collection):
        raise ConfigError(
            f"distillation loss '{name}': requires has to be a set of names, such as frozenset({{'logits'}}), "
            f"got {requires!r}"
        )
    for what in requires:
        if what not in READABLE:
            hint = did_you_mean(str(what), READABLE)
            raise ConfigError(f"distillation loss '{name}': requires names {what!r}, which no loss can read; {hint}")


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
    _check_embeddings(cls, student=student, teacher=teacher)
    build: Callable[..., DistillationLoss] = cls
    with custom_loss_errors(cls, "__init__", "it has to call super().__init__(student_channels, teacher_channels)"):
        return build(student.channels, teacher.channels, **options)


def check_options(name: str, options: Mapping[str, object], *, beside: type[BaseModel] | None = None) -> None:
    """Check what can be known of a loss before student and teacher are there.

    Args:
        name: a registered name, see :func:`available_losses`.
        options: the loss's own options.
        beside: what else may stand among them.

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


def _check_embeddings(cls: type[DistillationLoss], **segmenters: HasChannels) -> None:
    if "embeddings" not in cls.requires:
        return
    for role, segmenter in segmenters.items():
        reason = getattr(segmenter, "missing_embeddings", None)
        if reason is not None:
            others = sorted(name for name, other in _LOSSES.items() if "embeddings" not in other.requires)
            raise ConfigError(
                f"distillation loss '{cls.name}' compares patch embeddings, and the {role} has none: {reason}; "
                f"use a loss that needs none ({', '.join(others)}), or another {role}"
            )
