"""What a state dict that is no segmenter of ours seems to be, told by its names and shapes, for messages."""

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


# The linear layer that ends a classifier, by the names of torchvision, timm, transformers and the papers' code.
_CLASSIFIER = re.compile(r"(?:module\.|model\.)?(?:fc|head|head\.fc|heads\.head|classifier|classifier\.\d)\.weight")

# The first pattern that some name matches says what the network is.
_NETWORKS: tuple[tuple[str, str], ...] = (
    (r"backbone\.stages\.\d+\.blocks\.\d+\.(attn|mlp)\.", "a segmenter of transkd"),
    (r"decode_head\.fusion_conv\.", "mmsegmentation's SegFormer"),
    (r"(decode_head|auxiliary_head)\.", "a segmenter of mmsegmentation or transformers"),
    (r"(student|teacher)\.", "a distillation checkpoint"),
    (r"pixel_level_module\.|sem_seg_head\.", "Mask2Former or MaskFormer"),
    (r"image_encoder\.blocks\.", "Segment Anything"),
    (r"segformer\.|encoder\.block\.\d", "a transformers SegFormer encoder"),
    (r"(backbone\.|encoder\.)?patch_embed4\.proj\.", "MiT or PVTv2 in the layout of its authors"),
    (r"(encoder|backbone)\..*(decoder|segmentation_head)\.", "a segmentation_models_pytorch network"),
    (r"segmentation_head\.|decoder\.blocks\.", "a segmentation_models_pytorch network"),
    (r"backbone\.layer1\.0\.conv1\.", "a torchvision or detectron segmenter on a ResNet"),
    (r"stages\.\d+\.blocks\.\d+\.conv_dw\.", "ConvNeXt"),
    (r"(features|layers|stages)\.\d+\.blocks\.\d+\.attn\.relative_position_bias_table", "Swin Transformer"),
    (r"layers(\.|_)\d+\.blocks\.\d+\.attn\.(qkv|logit_scale)", "Swin Transformer"),
    (r"features\.\d+\.\d+\.attn\.", "Swin Transformer"),
    (r"stages\.\d+\.blocks\.\d+\.(attn|mlp)\.", "MiT or PVTv2"),
    (r"pos_block\.", "Twins"),
    (r"blocks\.\d+\.attn\.qkv\.|encoder\.layers\.encoder_layer_\d+\.", "a plain Vision Transformer"),
    (r"layer1\.0\.conv1\.", "ResNet"),
    (r"features\.denseblock1\.", "DenseNet"),
    (r"(blocks|features)\.\d+\.\d+\.(conv_pw|conv_dw|block)\b|conv_stem\.", "EfficientNet or MobileNet"),
    (r"features\.\d+\.conv\.", "MobileNet"),
    (r"features\.\d+\.(weight|bias)", "VGG or AlexNet"),
    (r"transformer\.h\.|model\.layers\.\d+\.self_attn\.", "a language model"),
)
_RESNETS = {
    ((2, 2, 2, 2), 2): "resnet18",
    ((3, 4, 6, 3), 2): "resnet34",
    ((3, 4, 6, 3), 3): "resnet50",
    ((3, 4, 23, 3), 3): "resnet101",
    ((3, 8, 36, 3), 3): "resnet152",
}


def seems_to_be(shapes: Shapes) -> str:
    """Return what a file with these tensors seems to be, as the end of "it seems to be …".

    Args:
        shapes: shape of each tensor by name.
    """
    network = _network(shapes)
    classes = classifier_classes(shapes)
    if classes is not None:
        return f"a classifier{f' ({network})' if network else ''} of {classes} classes, with no decode head"
    first = ", ".join(list(shapes)[:3])
    return network or f"another network (its tensors are called {first}{', …' if len(shapes) > 3 else ''})"


def classifier_classes(shapes: Shapes) -> int | None:
    """Return how many classes a classifier's last layer has, None where the tensors are no classifier's."""
    if any(name.startswith("backbone.") for name in shapes):
        return None
    found = [shape[0] for name, shape in shapes.items() if _CLASSIFIER.fullmatch(name) and _is_linear(shape)]
    return found[-1] if found else None


def _is_linear(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 or (len(shape) == 4 and shape[2:] == (1, 1))


def _network(shapes: Shapes) -> str | None:
    names = [re.sub(r"^(module|model)\.", "", name) for name in shapes]
    for pattern, network in _NETWORKS:
        if any(re.match(pattern, name) for name in names):
            return _resnet(names) or network if network == "ResNet" else network
    return None


def _resnet(names: list[str]) -> str | None:
    """Return which ResNet of torchvision and timm has these blocks, None where it is none of the common ones."""
    blocks = {match.groups() for match in (re.match(r"layer(\d)\.(\d+)\.", name) for name in names) if match}
    depths = tuple(sum(stage == str(wanted) for stage, _ in blocks) for wanted in range(1, 5))
    convolutions = sum(re.fullmatch(r"layer1\.0\.conv\d\.weight", name) is not None for name in names)
    return _RESNETS.get((depths, convolutions))
