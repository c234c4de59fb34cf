"""Released checkpoints of TransKD: the student, and its losses with the adapters that it was trained with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

from torch import Tensor

from transkd.distillation import csf, ea, embedding, gl_mixer  # noqa: F401  registers the losses that are created below
from transkd.distillation.base import DistillationLoss
from transkd.distillation.registry import create_loss
from transkd.errors import WeightsError
from transkd.models.formats.published import adapters, looks_released
from transkd.models.load import load_segmenter
from transkd.models.segmenter import Segmenter
from transkd.models.weights import read_state, tensor_differences

STAGES = 4
AFFINE = ("weight", "bias")
BATCH_NORM = (*AFFINE, "running_mean", "running_var", "num_batches_tracked")

Form = Literal["transkd_base", "transkd_gl", "transkd_ea"]

FORMS: Mapping[Form, tuple[str, ...]] = {
    "transkd_base": ("csf", "pea"),
    "transkd_gl": ("csf", "gl_mixer"),
    "transkd_ea": ("csf", "ea"),
}
"""The forms of TransKD by their names in ``distillation=``, and the losses of each."""


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


def load_release(path: str | Path) -> Release:
    """Load a released checkpoint of TransKD, to resume its training.

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
    teacher = SimpleNamespace(channels=_teacher_channels(tensors, student))
    losses = {name: create_loss(name, student=student, teacher=teacher).eval() for name in FORMS[form]}
    expected = {
        adapter_names(name)[ours]: tensor for name, loss in losses.items() for ours, tensor in loss.state_dict().items()
    }
    if differences := tensor_differences(expected, tensors):
        raise WeightsError(
            f"{path} seems to hold the adapters of {form}, but they do not fit a student with the backbone "
            f"{student.config['backbone']}: {differences}; it is damaged, or of a variant that is not known here"
        )
    for name, loss in losses.items():
        loss.load_state_dict({ours: tensors[released] for ours, released in adapter_names(name).items()})
    return Release(student, losses, form)


def find_form(tensors: Mapping[str, Tensor]) -> Form:
    """Return the form of TransKD that most of the adapters' names belong to; the base form where they tie."""
    names = {form: {n for loss in losses for n in adapter_names(loss).values()} for form, losses in FORMS.items()}
    return max(FORMS, key=lambda form: len(names[form] & tensors.keys()))


def _teacher_channels(tensors: Mapping[str, Tensor], student: Segmenter) -> tuple[int, ...]:
    """Return D_i as the adapters have them; where one has none, the student's, so that the loss can be built."""
    channels = list(student.channels)
    for stage in range(STAGES):
        for name in (_csf()[f"stages.{stage}.expand.0.weight"], _linears()[f"linears.{stage}.weight"]):
            if name in tensors and tensors[name].ndim:
                channels[stage] = tensors[name].shape[0]
    return tuple(channels)


def adapter_names(loss: str) -> dict[str, str]:
    """Return our name -> released name of every tensor of a loss on four stages; no tensor changes its shape.

    Args:
        loss: ``"csf"``, ``"pea"``, ``"gl_mixer"`` or ``"ea"``.
    """
    return {"csf": _csf, "pea": _linears, "gl_mixer": _gl_mixer, "ea": _ea}[loss]()


def _csf() -> dict[str, str]:
    names: dict[str, str] = {}
    for stage in range(STAGES):
        ours, released = f"stages.{stage}", f"skfs.{STAGES - 1 - stage}"  # the release counts from the deepest stage
        blocks = {"reduce": "conv1", "expand": "conv2"}
        if stage < STAGES - 1:
            blocks["selection.squeeze"] = "fc"
            names[f"{ours}.selection.squeeze_single.0.weight"] = f"{released}.fc1.0.weight"
            for branch, logit in enumerate(("own_logit", "deeper_logit")):
                names |= {f"{ours}.selection.{logit}.{part}": f"{released}.fcs.{branch}.{part}" for part in AFFINE}
        for block, released_block in blocks.items():
            names[f"{ours}.{block}.0.weight"] = f"{released}.{released_block}.0.weight"
            names |= {f"{ours}.{block}.1.{part}": f"{released}.{released_block}.1.{part}" for part in BATCH_NORM}
    return names


def _linears() -> dict[str, str]:
    return {f"linears.{i}.{part}": f"embed{i + 1}_linearproject.{part}" for i in range(STAGES) for part in AFFINE}


def _gl_mixer() -> dict[str, str]:
    modules = {"attention.proj": "attn4.proj", "local": "conv1", "local_gate": "conv2"}
    return {
        **_linears(),
        "mixer.global_weight": "atten_weight",
        "mixer.local_weight": "conv_weight",
        "mixer.attention.qkv.weight": "attn4.qkv.weight",
        **{f"mixer.{ours}.{part}": f"{name}.{part}" for ours, name in modules.items() for part in AFFINE},
    }


def _ea() -> dict[str, str]:
    return {
        **_linears(),
        **{
            f"assistants.{i}.{layer}.{part}": f"patch_embed{i + 1}.{layer}.{part}"
            for i in range(STAGES)
            for layer in ("proj", "norm")
            for part in AFFINE
        },
        **{f"linear_weights.{i}": f"fuse_weights.{i}" for i in range(STAGES)},
        **{f"assistant_weights.{i}": f"fuse_weights.{i + STAGES}" for i in range(STAGES)},
    }
