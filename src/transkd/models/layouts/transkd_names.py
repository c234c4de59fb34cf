"""What TransKD's released checkpoints call the tensors of a segmenter, by the kind of its backbone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

STAGES = range(4)


@dataclass(frozen=True)
class Layout:
    """What the release calls the tensors of one kind of segmenter; no tensor changes its shape.

    Attributes:
        prefixes: how our names begin -> how the released ones do.
        parts: what stands in the middle of our names -> of the released ones.
        backbones: the backbones of this kind.
    """

    prefixes: Mapping[str, str]
    parts: Mapping[str, str]
    backbones: tuple[str, ...]

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
LAYOUTS = {
    "mit": Layout(_pyramid("") | _SEGFORMER_HEAD, _PYRAMID_PARTS, tuple(f"mit_b{i}" for i in range(6))),
    "pvt_v2": Layout(
        _pyramid("backbone.") | _SEMANTIC_FPN_HEAD, _PYRAMID_PARTS, tuple(f"pvt_v2_b{i}" for i in range(6))
    ),
    "lvt": Layout(_LVT | _SEGFORMER_HEAD, _LVT_PARTS, ("lvt",)),
}
