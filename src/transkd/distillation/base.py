"""The interface of every distillation loss."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transkd.errors import ConfigError, TransKDError
from transkd.models.taps import Taps

TappedMaps = Literal["embeddings", "features"]


@contextmanager
def custom_loss_errors(cls: type, doing: str, remedy: str) -> Iterator[None]:
    """Raise an error in a custom loss as one message with its line, and keep it as the cause.

    Args:
        cls: the loss's class.
        doing: what was called, such as ``"forward"``.
        remedy: what to check.

    Raises:
        ConfigError: in place of any other error of a custom loss, except where memory ran out.
    """
    try:
        yield
    except (TransKDError, torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        if cls.__module__.partition(".")[0] == "transkd":
            raise
        steps = traceback.walk_tb(error.__traceback__)
        own = [step for step in steps if step[0].f_globals.get("__name__") == cls.__module__]
        last = traceback.StackSummary.extract(iter(own[-1:]))
        line = "".join(f", {Path(frame.filename).name} line {frame.lineno} (`{frame.line}`)" for frame in last)
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        name = getattr(cls, "name", cls.__name__)
        raise ConfigError(f"distillation loss '{name}' failed in {doing}{line}: {reason}; {remedy}") from error


def pair_stages(student_stages: int, teacher_stages: int) -> list[tuple[int, int]]:
    """Pair the stages of a student and a teacher, deepest with deepest.

    Args:
        student_stages: number of the student's stages.
        teacher_stages: number of the teacher's stages.

    Returns:
        (student stage, teacher stage), 0-based, shallowest pair first. The shallowest stages of the deeper network
        are left out.
    """
    pairs = min(student_stages, teacher_stages)
    return [(student_stages - pairs + i, teacher_stages - pairs + i) for i in range(pairs)]


def require_stages(name: str, option: str, stages: Sequence[int], available: Sequence[int]) -> None:
    """Raise a ConfigError unless an option of a loss lists stages of ``available``, counted from 1, once each."""
    if not stages or len(set(stages)) < len(stages) or not set(stages) <= set(available):
        raise ConfigError(
            f"{name}: {option} is {list(stages)}: name stages of the student once each, counted from 1; student and "
            f"teacher pair at {list(available)}"
        )


def require_weight(name: str, **weights: float) -> None:
    """Raise a ConfigError where all weights of a loss's parts are 0, so that it would compare nothing."""
    if not any(weights.values()):
        raise ConfigError(f"{name}: {' and '.join(weights)} are 0, so it compares nothing; leave the loss out instead")


def resample_to(maps: Tensor, like: Tensor) -> Tensor:
    """Resample maps (B, C, h, w) bilinearly to the spatial size of others (B, any, H, W): (B, C, H, W).

    Maps of that size pass unchanged.
    """
    size = like.shape[-2:]
    if maps.shape[-2:] == size:
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


class DistillationLoss(nn.Module):
    """One pluggable term that compares a student's taps with a teacher's, and owns its trainable adapters.

    A subclass defines :meth:`forward`, declares what it reads in :attr:`requires`, and takes its options as
    keyword arguments of ``__init__`` after the two channel lists. Registered with
    :func:`~transkd.distillation.register_loss`, it can be named in a configuration.

    Args:
        student_channels: channels of the student's feature maps, a stage each, shallowest first.
        teacher_channels: the same of the teacher.

    Attributes:
        name: the name it is registered under, its class name until then.
        requires: what it reads: a subset of ``{"embeddings", "features", "logits", "labels"}``. The first three are of
            the taps; a loss that names ``"labels"`` is called with ``labels=`` as well.
        student_channels: as given.
        teacher_channels: as given.

    Raises:
        ConfigError: if one of the two has no stages.

    Example:
        >>> @register_loss("deepest_l1")
        ... class DeepestL1(DistillationLoss):
        ...     def __init__(self, student_channels, teacher_channels):
        ...         super().__init__(student_channels, teacher_channels)
        ...         self.widen = nn.Conv2d(student_channels[-1], teacher_channels[-1], 1)
        ...
        ...     def forward(self, student, teacher):
        ...         widened = resample_to(self.widen(student.features[-1]), teacher.features[-1])
        ...         return (widened - teacher.features[-1].detach()).abs().float().mean()
    """

    name: ClassVar[str] = "DistillationLoss"
    requires: ClassVar[frozenset[str]] = frozenset({"features"})

    def __init__(self, student_channels: Sequence[int], teacher_channels: Sequence[int]) -> None:
        super().__init__()
        self.student_channels = tuple(student_channels)
        self.teacher_channels = tuple(teacher_channels)
        if not (self.student_channels and self.teacher_channels):
            raise ConfigError(
                f"{self.name}: needs at least one stage of student and teacher, "
                f"got channels {self.student_channels} and {self.teacher_channels}"
            )

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        cls.name = cls.__name__

    def forward(self, student: Taps, teacher: Taps) -> Tensor:
        """Compare the taps of one batch.

        A loss with ``"labels"`` in :attr:`requires` defines ``forward(self, student, teacher, labels)``. Its labels are
        (B, H, W) uint8, usually at the images' size, 255 where ignored. A label is the number of one of the student's
        classes; for a loss that reads logits too, their channel.

        Args:
            student: the student's taps. Where the loss reads logits, both taps' are of the same classes, in one order.
            teacher: the teacher's taps on the same images; no gradient flows into them.

        Returns:
            A scalar in float32, under autocast too.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no forward(student, teacher)")

    def compare(self, student: Taps, teacher: Taps, labels: Tensor) -> Tensor:
        """Call the loss with what it requires: with ``labels`` (B, H, W) only if it names them in :attr:`requires`.

        Raises:
            ConfigError: if a custom loss fails, or returns anything but one floating-point number.
        """
        needed = {"labels": labels} if "labels" in self.requires else {}
        if "logits" not in self.requires:
            student, teacher = replace(student, logits=None), replace(teacher, logits=None)
        remedy = (
            f"it is called as forward({', '.join(['student', 'teacher', *needed])}); logits and labels are given only "
            f"if `requires` names them (it is {sorted(self.requires)})"
        )
        with custom_loss_errors(type(self), "forward", remedy):
            result: object = self(student, teacher, **needed)
        if isinstance(result, Tensor) and result.ndim == 0 and result.is_floating_point():
            return result
        wrong = "nothing; it has no return" if result is None else f"a {type(result).__name__}"
        if isinstance(result, Tensor):
            wrong = f"a tensor of shape {tuple(result.shape)} of {result.dtype}"
        raise ConfigError(
            f"distillation loss '{self.name}': forward returned {wrong}. It has to return one number, a floating-point "
            "tensor of shape (), such as (a - b).pow(2).mean()"
        )

    def pairing(self) -> list[tuple[int, int]]:
        """List the stages that are compared, as (student stage, teacher stage), 0-based, shallowest first."""
        return pair_stages(len(self.student_channels), len(self.teacher_channels))

    def paired_channels(self) -> list[tuple[int, int]]:
        """List (student channels, teacher channels) of the pairs in :meth:`pairing`."""
        return [(self.student_channels[s], self.teacher_channels[t]) for s, t in self.pairing()]

    def student_maps(self, taps: Taps, kind: TappedMaps) -> tuple[Tensor, ...]:
        """Return the student's maps of one kind, per stage (B, C_i, h_i, w_i).

        Raises:
            ConfigError: if they are missing or not of the channels that this loss was built for.
        """
        return self._checked(taps, kind, "student", self.student_channels)

    def teacher_maps(self, taps: Taps, kind: TappedMaps) -> tuple[Tensor, ...]:
        """Return the teacher's maps of one kind, detached; see :meth:`student_maps`.

        Raises:
            ConfigError: if they are missing or not of the channels that this loss was built for.
        """
        return tuple(m.detach() for m in self._checked(taps, kind, "teacher", self.teacher_channels))

    def _checked(self, taps: Taps, kind: TappedMaps, owner: str, built_for: tuple[int, ...]) -> tuple[Tensor, ...]:
        maps: tuple[Tensor, ...] = getattr(taps, kind)
        channels = tuple(m.shape[1] for m in maps)
        if not channels:
            raise ConfigError(
                f"{self.name}: the {owner}'s taps hold no {kind}, which this loss compares; "
                f"use a backbone that taps its {kind}, or leave {self.name} out of the losses"
            )
        if channels != built_for:
            raise ConfigError(
                f"{self.name}: the {owner}'s {kind} have channels {channels}, but the loss was built for "
                f"{built_for}; create it with the student and teacher that it is used with"
            )
        return maps

    def check_batch_norm(self, student: Taps, maps: Tensor) -> None:
        """Raise a ConfigError in training where maps (B, C, h, w) are one value a channel, too few for batch norm."""
        if self.training and maps[:, 0].numel() == 1:
            raise ConfigError(
                f"{self.name}: one image of {tuple(student.images.shape[-2:])} pixels leaves one value a channel, too "
                "few for batch norm; train on larger images or batches"
            )
