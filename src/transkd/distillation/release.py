"""Released checkpoints of TransKD: the student, and its losses with the adapters that it was trained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from transkd.distillation import csf, ea, gl_mixer, pea  # noqa: F401  registers the losses that are created below
from transkd.distillation.base import DistillationLoss
from transkd.distillation.registry import create_loss
from transkd.distillation.release_names import STAGES, adapter_names, teacher_width_names
from transkd.errors import WeightsError
from transkd.models.layouts.transkd import adapters, looks_released
from transkd.models.loading import load_segmenter
from transkd.models.segmenter import Segmenter
from transkd.models.sources.tensors import read_state
from transkd.models.weights import tensor_differences

Form = Literal["transkd_base", "transkd_gl", "transkd_ea"]

FORMS: Mapping[Form, tuple[str, ...]] = {
    "transkd_base": ("csf", "pea"),
    "transkd_gl": ("csf", "gl_mixer"),
    "transkd_ea": ("csf", "ea"),
}


@dataclass(frozen=True)
class Release:
    """What a released checkpoint of TransKD holds, in evaluation mode.

    Attributes:
        student: the segmenter, for images in [0, 1] without further normalisation, as it was trained.
        losses: registered name -> the loss with the checkpoint's adapters, as ``DistillModule`` takes them.
        form: which form of TransKD it was trained with, by its name in ``distillation=``.
    """

    student: Segmenter
    losses: dict[str, DistillationLoss]
    form: Form


@dataclass(frozen=True)
class _Widths:
    channels: Sequence[int]


def load_release(path: str | Path) -> Release:
    """Load a released checkpoint of TransKD, so that its training can go on.

    The form is found from the tensors' names, the architecture and the number of classes from their shapes, and
    the teacher's channels from the adapters'; the teacher itself is not in the file. Tensors alone are read:
    nothing in the file is executed.

    Args:
        path: a ``.pth`` file: the state dict itself, or a checkpoint around it.

    Returns:
        The student and the losses, all in evaluation mode.

    Raises:
        WeightsError: there is no such file, it is damaged, no distilled student of TransKD, or has tensors that
            are missing, unexpected or of another shape.

    Example:
        >>> release = transkd.load_release("transkd_ea.pth")
        >>> module = transkd.DistillModule(release.student, teacher, release.losses).train()
    """
    path = Path(path).expanduser()
    state = read_state(path)
    if not looks_released(state):
        first = ", ".join(list(state)[:3]) or "none"
        raise WeightsError(f"{path} is not a released checkpoint of TransKD; its first tensors are {first}")
    tensors = adapters(state)
    if not tensors:
        raise WeightsError(
            f"{path} holds no adapters of distillation losses: it is a teacher or a plain student; "
            "load it with transkd.load_segmenter"
        )
    student = load_segmenter(path)
    form = find_form(tensors)
    return Release(student, _load_losses(path, form, tensors, student), form)


def find_form(tensors: Mapping[str, Tensor]) -> Form:
    """Return the form of TransKD that most of the adapters' names belong to; the base form where they tie."""
    return max(FORMS, key=lambda form: len(_released_names(form) & tensors.keys()))


def _load_losses(
    path: Path, form: Form, tensors: Mapping[str, Tensor], student: Segmenter
) -> dict[str, DistillationLoss]:
    teacher = _Widths(_teacher_channels(tensors, student))
    losses = {name: create_loss(name, student=student, teacher=teacher) for name in FORMS[form]}
    expected = {
        adapter_names(name)[ours]: tuple(tensor.shape)
        for name, loss in losses.items()
        for ours, tensor in loss.state_dict().items()
    }
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if differences := tensor_differences(expected, found):
        raise WeightsError(
            f"{path} seems to hold the adapters of {form}, but they do not fit a student with the backbone "
            f"{student.config['backbone']}: {differences}; it is damaged, or of a variant that is not known here"
        )
    for name, loss in losses.items():
        loss.load_state_dict({ours: tensors[released] for ours, released in adapter_names(name).items()})
        loss.eval()
    return losses


def _teacher_channels(tensors: Mapping[str, Tensor], student: Segmenter) -> tuple[int, ...]:
    """Return D_i as the adapters have them; where one has none, the student's, so that the loss can be built."""
    channels = list(student.channels)
    for stage in range(STAGES):
        widths = [tensors[name].shape[:1] for name in teacher_width_names(stage) if name in tensors]
        channels[stage] = next((width[0] for width in widths if width), channels[stage])
    return tuple(channels)


def _released_names(form: Form) -> set[str]:
    return {released for loss in FORMS[form] for released in adapter_names(loss).values()}
