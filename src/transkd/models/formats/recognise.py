"""What a state dict is of, by its names and shapes: a segmenter's architecture, or a network that is no segmenter."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from transkd.errors import WeightsError
from transkd.models.weights import Shapes, first_few, shapes_of

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
    for head, (width, classes) in _HEADS.items():
        if width in shapes and classes in shapes:
            backbone = _infer_backbone(shapes, head)
            config = {"head": head, "head_width": shapes[width][0], "num_classes": shapes[classes][0]}
            return None if backbone is None else {"backbone": backbone, **config}
    return None


def _infer_backbone(shapes: Shapes, head: str) -> str | None:
    embeddings = {int(match[1] or 0): shapes[name][0] for name in shapes if (match := _PATCH_EMBEDDING.fullmatch(name))}
    channels = tuple(embeddings[stage] for stage in sorted(embeddings))
    if channels == _LVT_CHANNELS:
        return "lvt"
    blocks = {(int(match[1]), int(match[2])) for match in map(_BLOCK.match, shapes) if match}
    depths = tuple(sum(stage == of for of, _ in blocks) for stage in range(4))
    size = _SIZES.get((channels, depths))
    hidden = shapes.get("backbone.stages.0.blocks.0.mlp.fc1.weight")
    if size is None or hidden is None:
        return None
    if "backbone.stages.3.blocks.0.attn.sr.weight" in shapes:
        return f"pvt_v2_b{size}_li"
    # PVTv2-B5 and MiT-B5 are the same network: both have MLP ratio 4.
    same_in_both = size == 5 and head != "segformer"
    return f"pvt_v2_b{size}" if hidden[0] == 8 * channels[0] or same_in_both else f"mit_b{size}"


# The linear layer that ends a classifier, by the names of torchvision, timm, transformers and the papers' code.
_CLASSIFIER = re.compile(r"(?:fc|head|head\.fc|heads\.head|classifier|classifier\.\d)\.weight")

# The first pattern that some name matches says what the network is.
_NETWORKS: tuple[tuple[str, str], ...] = (
    (r"backbone\.stages\.\d+\.blocks\.\d+\.(attn|mlp)\.", "a segmenter of transkd"),
    (
        r"decode_head\.fusion_conv\.",
        "a SegFormer of mmsegmentation 1.x, whose head has a batch norm and a ReLU in each stage, which the published "
        "SegFormer has not; take NVlabs' or Hugging Face's weights of the same network",
    ),
    (r"(decode_head|auxiliary_head)\.", "another segmenter of mmsegmentation or transformers"),
    (r"(segformer\.)?encoder\.block\.\d|(segformer\.)?stages\.\d\.patch_embeddings\.", "a SegFormer encoder"),
    (r"(backbone\.|encoder\.)?patch_embed4\.proj\.", "MiT or PVTv2 under their authors' names"),
    (r"stages\.\d+\.blocks\.\d+\.attn\.(q|kv)\.", "MiT or PVTv2 under timm's names"),
)


def seems_to_be(shapes: Shapes) -> str:
    """Return what a file with these tensors seems to be, as the end of "it seems to be …".

    Args:
        shapes: shape of each tensor by name.
    """
    network = next((what for pattern, what in _NETWORKS if any(re.match(pattern, name) for name in shapes)), None)
    classes = classifier_classes(shapes)
    if classes is not None:
        return f"a classifier{f' ({network})' if network else ''} of {classes} classes, with no decode head"
    return network or f"another network, with the tensors {first_few(shapes)}"


def classifier_classes(shapes: Shapes) -> int | None:
    """Return how many classes a classifier's last layer has, None where the tensors are no classifier's."""
    if any(name.startswith("backbone.") for name in shapes):
        return None
    layers = [shape for name, shape in shapes.items() if _CLASSIFIER.fullmatch(name)]
    found = [shape[0] for shape in layers if len(shape) == 2 or shape[2:] == (1, 1)]
    return found[-1] if found else None


def no_segmenter(state: Mapping[str, Tensor], where: str) -> WeightsError:
    """Return the error for weights that are no segmenter's; for a bare backbone, it says how to use that.

    Args:
        state: the tensors.
        where: the file, folder or repository.
    """
    what = seems_to_be(shapes_of(state))
    text = f"{where} holds no segmenter that can be loaded: it seems to be {what}"
    if "classifier" not in what and not what.endswith(("encoder", "names")):
        return WeightsError(text)
    pretrained = f'"{where}"' if Path(where).exists() else "True"
    return WeightsError(
        f"{text}. Its backbone can still be used, under a new decode head: student.weights=pretrained (or "
        "teacher.weights=pretrained) takes the backbone's published weights; in Python, "
        f"transkd.create_segmenter(BACKBONE, num_classes=…, pretrained={pretrained})"
    )
