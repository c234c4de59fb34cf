"""Which segmenter a bare state dict is of, by its names and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from transkd.models.weights import Shapes

# Channels and depths of B0 to B5, the same in MiT and PVTv2.
_SMALL, _LARGE = (32, 64, 160, 256), (64, 128, 320, 512)
_SIZES: Mapping[tuple[tuple[int, ...], tuple[int, ...]], int] = {
    (_SMALL, (2, 2, 2, 2)): 0,
    (_LARGE, (2, 2, 2, 2)): 1,
    (_LARGE, (3, 4, 6, 3)): 2,
    (_LARGE, (3, 4, 18, 3)): 3,
    (_LARGE, (3, 8, 27, 3)): 4,
    (_LARGE, (3, 6, 40, 3)): 5,
}
_LVT_CHANNELS = (64, 64, 160, 256)
_BLOCK = re.compile(r"backbone\.stages\.(\d+)\.blocks\.(\d+)\.")
_PATCH_EMBEDDING = re.compile(r"backbone\.(?:stages\.(\d+)\.)?(?:patch_embed|downsample)\.proj\.weight")
_HEADS = {  # head -> the tensors that tell its width and its number of classes by their first dimension
    "segformer": ("head.fuse.weight", "head.classifier.weight"),
    "semantic_fpn": ("head.scales.0.0.weight", "head.classifier.weight"),
}


def mit_name(channels: Sequence[int], depths: Sequence[int]) -> str | None:
    """Return the name of the MiT with these channels and depths, None where there is none."""
    size = _SIZES.get((tuple(channels), tuple(depths)))
    return None if size is None else f"mit_b{size}"


def infer_config(shapes: Shapes) -> dict[str, Any] | None:
    """Return backbone, num_classes, head and head_width of a state dict under our names.

    Args:
        shapes: shapes of its tensors by name.

    Returns:
        The arguments, or None where the names are not those of a MiT, PVTv2 or LVT segmenter.
    """
    head = _infer_head(shapes)
    if head is None:
        return None
    backbone = _infer_backbone(shapes, head["head"])
    return None if backbone is None else {"backbone": backbone, **head}


def _infer_head(shapes: Shapes) -> dict[str, Any] | None:
    for head, (width, classes) in _HEADS.items():
        if width in shapes and classes in shapes:
            return {"head": head, "head_width": shapes[width][0], "num_classes": shapes[classes][0]}
    return None


def _infer_backbone(shapes: Shapes, head: str) -> str | None:
    channels, depths = _channels(shapes), _depths(shapes)
    if channels == _LVT_CHANNELS:
        return "lvt"
    size = _SIZES.get((channels, depths))
    hidden = shapes.get("backbone.stages.0.blocks.0.mlp.fc1.weight")
    if size is None or hidden is None:
        return None
    if "backbone.stages.3.blocks.0.attn.sr.weight" in shapes:
        return f"pvt_v2_b{size}_li"
    # PVTv2-B5 and MiT-B5 are the same network: both have MLP ratio 4.
    same_in_both = size == 5 and head != "segformer"
    return f"pvt_v2_b{size}" if hidden[0] == 8 * channels[0] or same_in_both else f"mit_b{size}"


def _channels(shapes: Shapes) -> tuple[int, ...]:
    """Return C_i from the convolutions of the patch embeddings."""
    found = {int(match[1] or 0): shapes[name][0] for name in shapes if (match := _PATCH_EMBEDDING.fullmatch(name))}
    return tuple(found[stage] for stage in sorted(found))


def _depths(shapes: Shapes) -> tuple[int, ...]:
    blocks = {(int(match[1]), int(match[2])) for match in map(_BLOCK.match, shapes) if match}
    return tuple(sum(stage == wanted for stage, _ in blocks) for wanted in range(4))
