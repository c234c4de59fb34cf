"""What published files call the tensors of our segmenters: TransKD's release, NVlabs' and transformers' SegFormers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

STAGES = range(4)


@dataclass(frozen=True)
class TensorNames:
    """What a format calls the tensors of one kind of segmenter.

    Attributes:
        prefixes: how our names begin -> how the published ones do; the first that fits is taken.
        parts: what stands in the middle of our names -> of the published ones.
    """

    prefixes: Mapping[str, str]
    parts: Mapping[str, str]

    def published(self, ours: str) -> str:
        """Return the published name of a tensor of ours."""
        return _renamed(ours, self.prefixes, self.parts)

    def ours(self, published: str) -> str:
        """Return our name of a published tensor; a name that is not one of the format stays."""
        prefixes = {theirs: ours for ours, theirs in self.prefixes.items()}
        return _renamed(published, prefixes, {theirs: ours for ours, theirs in self.parts.items()})


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


def _segformer_head(prefix: str = "") -> dict[str, str]:
    return {
        **{f"head.linear.{i}.": f"{prefix}linear_c{i + 1}.proj." for i in STAGES},
        "head.fuse.": f"{prefix}linear_fuse.conv.",
        "head.norm.": f"{prefix}linear_fuse.bn.",
        "head.classifier.": f"{prefix}linear_pred.",
    }


_SEMANTIC_FPN_HEAD = {
    **{f"head.lateral.{i}.": f"neck.lateral_convs.{i}.conv." for i in STAGES},
    **{f"head.pyramid.{i}.": f"neck.fpn_convs.{i}.conv." for i in STAGES},
    # Upsamplings stand between the convolutions of a scale, and count.
    **{f"head.scales.{i}.{k}.": f"head.scale_heads.{i}.{2 * k}.conv." for i in STAGES for k in range(max(1, i))},
    "head.classifier.": "head.conv_seg.",
}
_LVT = {
    **{f"backbone.stages.{i}.patch_embed.": f"backbone.{i}.0." for i in STAGES},
    **{f"backbone.stages.{i}.blocks.": f"backbone.{i}.1." for i in STAGES},
}
_LVT_PARTS = {
    ".attn.weights.": ".attn.attn.",
    ".attn.values.": ".attn.weight.",
    ".attn.dilated.": ".attn.ds.",
    ".mlp.dwconv.": ".mlp.depconv.",
}
_DEPTHWISE = {".mlp.dwconv.": ".mlp.dwconv.dwconv."}

RELEASED = {
    "mit": TensorNames(_pyramid("") | _segformer_head(), _DEPTHWISE),
    "pvt_v2": TensorNames(_pyramid("backbone.") | _SEMANTIC_FPN_HEAD, _DEPTHWISE),
    "lvt": TensorNames(_LVT | _segformer_head(), _LVT_PARTS),
}
"""Family of backbones -> what TransKD's release calls the tensors of its segmenters."""

NVLABS = TensorNames(_pyramid("backbone.") | _segformer_head("decode_head."), _DEPTHWISE)
"""NVlabs' SegFormers, in mmsegmentation 0.11's files."""

_ENCODER = "segformer.encoder"
TRANSFORMERS = TensorNames(
    {
        "backbone.patch_embed.norm.": f"{_ENCODER}.patch_embeddings.0.layer_norm.",
        "backbone.patch_embed.": f"{_ENCODER}.patch_embeddings.0.",
        **{f"backbone.stages.{i}.downsample.norm.": f"{_ENCODER}.patch_embeddings.{i}.layer_norm." for i in STAGES[1:]},
        **{f"backbone.stages.{i}.downsample.": f"{_ENCODER}.patch_embeddings.{i}." for i in STAGES[1:]},
        **{f"backbone.stages.{i}.norm.": f"{_ENCODER}.layer_norm.{i}." for i in STAGES},
        **{f"backbone.stages.{i}.blocks.": f"{_ENCODER}.block.{i}." for i in STAGES},
        **{f"head.linear.{i}.": f"decode_head.linear_c.{i}.proj." for i in STAGES},
        "head.fuse.": "decode_head.linear_fuse.",
        "head.norm.": "decode_head.batch_norm.",
        "head.classifier.": "decode_head.classifier.",
    },
    {
        ".norm1.": ".layer_norm_1.",
        ".norm2.": ".layer_norm_2.",
        ".attn.q.": ".attention.self.query.",
        ".attn.k.": ".attention.self.key.",
        ".attn.v.": ".attention.self.value.",
        ".attn.sr.": ".attention.self.sr.",
        ".attn.norm.": ".attention.self.layer_norm.",
        ".attn.proj.": ".attention.output.dense.",
        ".mlp.fc1.": ".mlp.dense1.",
        ".mlp.fc2.": ".mlp.dense2.",
        **_DEPTHWISE,
    },
)
"""transformers' SegFormers in the hub's files; keys and values are two tensors there, which ours has as one."""
