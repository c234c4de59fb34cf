"""The released checkpoints of TransKD: what their tensors are called, and which segmenter they are of.

A distilled student's tensors begin with ``student.``, and the adapters of its losses stand beside them; a
teacher's, or a plain student's, begin with nothing. Where training ran on several GPUs, ``module.`` comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from transkd.errors import WeightsError
from transkd.models.layouts.architecture import infer_config
from transkd.models.layouts.transkd_names import LAYOUTS, Layout
from transkd.models.segmenter import Segmenter
from transkd.models.weights import Shapes, state_shapes, tensor_differences

PARALLEL = "module."
STUDENT = "student."
# The release feeds images in [0, 1] as they are.
UNNORMALISED = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
_MARKS = ("linear_fuse.", "linear_pred.", "neck.lateral_convs.", "head.scale_heads.", "skfs.", "embed1_linearproject.")


@dataclass(frozen=True)
class ReleasedTensors:
    """The tensors of a released checkpoint, under the names they have without ``module.`` and ``student.``.

    Attributes:
        segmenter: those of the student, or of the teacher where the file is a teacher's.
        adapters: those of the distillation losses.
        prefix: what the segmenter's names begin with in the file, ``module.`` aside.
    """

    segmenter: dict[str, Tensor] = field(default_factory=dict)
    adapters: dict[str, Tensor] = field(default_factory=dict)
    prefix: str = ""

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> ReleasedTensors:
        """Part a state dict into segmenter and adapters."""
        bare = {name.removeprefix(PARALLEL): tensor for name, tensor in state.items()}
        if not any(name.startswith(STUDENT) for name in bare):
            return cls(bare)
        student = {name.removeprefix(STUDENT): t for name, t in bare.items() if name.startswith(STUDENT)}
        return cls(student, {name: t for name, t in bare.items() if not name.startswith(STUDENT)}, STUDENT)


def looks_released(names: Iterable[str]) -> bool:
    """Tell whether tensors of these names come from a released checkpoint of TransKD."""
    bare = {name.removeprefix(PARALLEL).removeprefix(STUDENT) for name in names}
    return any(name.startswith(_MARKS) for name in bare)


def adapters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a released checkpoint that belong to its losses, {} where there are none."""
    return ReleasedTensors.of(state).adapters


def from_released(state: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the segmenter of a released checkpoint of TransKD: the student, or the teacher of a teacher's file.

    Args:
        state: the checkpoint's state dict; adapters are left out.

    Returns:
        The arguments of the ``Segmenter`` that it is of, and its state dict under our names.

    Raises:
        WeightsError: it is not of a MiT with a SegFormer head, a PVTv2 with a Semantic-FPN head or an LVT with
            a SegFormer head.
    """
    released = ReleasedTensors.of(state)
    layout = _find_layout(released)
    tensors = {layout.ours(name): tensor for name, tensor in released.segmenter.items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    config = infer_config(shapes) or _closest_config(shapes, layout)
    _check(config, shapes, layout, released.prefix)
    return {**config, **UNNORMALISED}, tensors


def _find_layout(released: ReleasedTensors) -> Layout:
    for layout in LAYOUTS.values():
        mark = layout.released("backbone.stages.0.blocks.")
        if any(name.startswith(mark) for name in released.segmenter):
            return layout
    first = ", ".join(list(released.segmenter)[:3]) or "none"
    raise WeightsError(
        "these are not the tensors of a released TransKD checkpoint with a MiT, PVTv2 or LVT backbone; "
        f"the first are {first}"
    )


def _closest_config(shapes: Shapes, layout: Layout) -> dict[str, Any]:
    """Return the config of a segmenter whose tensors agree with most of ``shapes``, to say what differs."""
    classifier = shapes.get("head.classifier.weight", ())
    config = dict(zip(("num_classes", "head_width"), classifier[:2], strict=False))
    expected = {name: _expected_shapes({"backbone": name, **config}) for name in layout.backbones}
    closest = max(expected, key=lambda name: len(expected[name].items() & shapes.items()))
    return {"backbone": closest, **config}


def _expected_shapes(config: Mapping[str, Any]) -> Shapes:
    with torch.device("meta"):
        return state_shapes(Segmenter(**config))


def _check(config: Mapping[str, Any], shapes: Shapes, layout: Layout, prefix: str) -> None:
    expected, found = (
        {prefix + layout.released(name): shape for name, shape in tensors.items()}
        for tensors in (_expected_shapes(config), shapes)
    )
    if differences := tensor_differences(expected, found):
        owner = "student" if prefix else "teacher or plain student"
        raise WeightsError(
            f"this seems to be a {owner} of TransKD with the backbone {config['backbone']}, but does not fit it: "
            f"{differences}; it is damaged, or of a variant that is not known here"
        )
