"""Whole released checkpoints of students: names and shapes of the segmenter and of the adapters beside it."""

from __future__ import annotations

from released_names import released_shapes

from transkd.distillation import create_loss
from transkd.distillation.release import FORMS, Form, adapter_names
from transkd.models.backbones import find_backbone

from .tap_builder import TEACHER_CHANNELS, Widths

__all__ = ["adapter_names", "adapter_shapes", "student_file_shapes"]


def adapter_shapes(loss: str, student_channels: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Released name -> shape of a loss's tensors, for a teacher of B2's channels."""
    module = create_loss(loss, student=Widths(student_channels), teacher=Widths(TEACHER_CHANNELS))
    names = adapter_names(loss)
    return {names[ours]: tuple(tensor.shape) for ours, tensor in module.state_dict().items()}


def student_file_shapes(backbone: str, form: Form) -> dict[str, tuple[int, ...]]:
    """Released name -> shape of every tensor of a distilled student's checkpoint."""
    shapes = released_shapes(backbone, "student.")
    channels = find_backbone(backbone).build(0.0).channels
    for loss in FORMS[form]:
        shapes |= adapter_shapes(loss, channels)
    return shapes
