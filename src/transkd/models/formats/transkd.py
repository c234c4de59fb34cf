"""The released checkpoints of TransKD: what their tensors are called, and which segmenter they are of.

A distilled student's tensors begin with ``student.``, and the adapters of its losses stand beside them; a
teacher's, or a plain student's, begin with nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from transkd.errors import WeightsError
from transkd.models.formats.recognise import infer_config
from transkd.models.weights import first_few, shapes_of

STAGES = range(4)


@dataclass(frozen=True)
class ReleasedNames:
    """What the release calls the tensors of one kind of segmenter; no tensor changes its shape.

    Attributes:
        prefixes: how our names begin -> how the released ones do.
        parts: what stands in the middle of our names -> of the released ones.
    """

    prefixes: Mapping[str, str]
    parts: Mapping[str, str]

    def released(self, ours: str) -> str:
        """Return the released name of a tensor of ours."""
        return _renamed(ours, self.prefixes, self.parts)

    def ours(self, released: str) -> str:
        """Return our name of a released tensor; a name that is not one of a release stays."""
        prefixes = {theirs: ours for ours, theirs in self.prefixes.items()}
        return _renamed(released, prefixes, {theirs: ours for ours, theirs in self.parts.items()})


def _renamed(name: str, prefixes: Mapping[str, str], parts: Mapping[str, str]) -> str:
    for old, new in prefixes.items():
        if name.startswith(old):
            name = new + name.removeprefix(old)
            break
    for old, new in parts.items():
        if old in name:
            return name.replace(old, new)
    return name


def _pyramid(prefix: str) -> dict[str, str]:
    return {
        "backbone.patch_embed.": f"{prefix}patch_embed1.",
        **{f"backbone.stages.{i}.downsample.": f"{prefix}patch_embed{i + 1}." for i in STAGES[1:]},
        **{f"backbone.stages.{i}.blocks.": f"{prefix}block{i + 1}." for i in STAGES},
        **{f"backbone.stages.{i}.norm.": f"{prefix}norm{i + 1}." for i in STAGES},
    }


_LVT = {
    **{f"backbone.stages.{i}.patch_embed.": f"backbone.{i}.0." for i in STAGES},
    **{f"backbone.stages.{i}.blocks.": f"backbone.{i}.1." for i in STAGES},
}
_SEGFORMER_HEAD = {
    **{f"head.linear.{i}.": f"linear_c{i + 1}.proj." for i in STAGES},
    "head.fuse.": "linear_fuse.conv.",
    "head.norm.": "linear_fuse.bn.",
    "head.classifier.": "linear_pred.",
}
_SEMANTIC_FPN_HEAD = {
    **{f"head.lateral.{i}.": f"neck.lateral_convs.{i}.conv." for i in STAGES},
    **{f"head.pyramid.{i}.": f"neck.fpn_convs.{i}.conv." for i in STAGES},
    # Upsamplings stand between the convolutions of a scale, and count.
    **{f"head.scales.{i}.{k}.": f"head.scale_heads.{i}.{2 * k}.conv." for i in STAGES for k in range(max(1, i))},
    "head.classifier.": "head.conv_seg.",
}
_PYRAMID_PARTS = {".mlp.dwconv.": ".mlp.dwconv.dwconv."}
_LVT_PARTS = {
    ".attn.weights.": ".attn.attn.",
    ".attn.values.": ".attn.weight.",
    ".attn.dilated.": ".attn.ds.",
    ".mlp.dwconv.": ".mlp.depconv.",
}
RELEASED_NAMES = {
    "mit": ReleasedNames(_pyramid("") | _SEGFORMER_HEAD, _PYRAMID_PARTS),
    "pvt_v2": ReleasedNames(_pyramid("backbone.") | _SEMANTIC_FPN_HEAD, _PYRAMID_PARTS),
    "lvt": ReleasedNames(_LVT | _SEGFORMER_HEAD, _LVT_PARTS),
}
"""Family of backbones -> what the release calls the tensors of its segmenters."""

STUDENT = "student."
# The release feeds images in [0, 1] as they are.
UNNORMALISED = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
_MARKS = ("linear_fuse.", "linear_pred.", "neck.lateral_convs.", "head.scale_heads.", "skfs.", "embed1_linearproject.")


@dataclass(frozen=True)
class ReleasedTensors:
    """The tensors of a released checkpoint, under the names they have without ``student.``.

    Attributes:
        segmenter: those of the student, or of the teacher where the file is a teacher's.
        adapters: those of the distillation losses.
        prefix: what the segmenter's names begin with in the file.
    """

    segmenter: dict[str, Tensor] = field(default_factory=dict)
    adapters: dict[str, Tensor] = field(default_factory=dict)
    prefix: str = ""

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> ReleasedTensors:
        """Split a state dict into segmenter and adapters."""
        student = {name.removeprefix(STUDENT): t for name, t in state.items() if name.startswith(STUDENT)}
        if not student:
            return cls(dict(state))
        return cls(student, {name: t for name, t in state.items() if not name.startswith(STUDENT)}, STUDENT)


def looks_released(names: Iterable[str]) -> bool:
    """Return whether tensors of these names are of a released checkpoint of TransKD."""
    return any(name.removeprefix(STUDENT).startswith(_MARKS) for name in names)


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
        WeightsError: it is not of a MiT or LVT with a SegFormer head, or of a PVTv2 with a Semantic-FPN head.
    """
    released = ReleasedTensors.of(state)
    for names in RELEASED_NAMES.values():
        first_block = names.released("backbone.stages.0.blocks.")
        if any(name.startswith(first_block) for name in released.segmenter):
            tensors = {names.ours(name): tensor for name, tensor in released.segmenter.items()}
            if config := infer_config(shapes_of(tensors)):
                return {**config, **UNNORMALISED}, tensors
    raise WeightsError(
        "these are not the tensors of a released TransKD checkpoint with a MiT, PVTv2 or LVT backbone, or some are "
        f"missing; the first are {first_few(released.segmenter) or 'none'}"
    )
