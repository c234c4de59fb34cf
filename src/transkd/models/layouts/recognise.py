"""What a state dict that is no segmenter of ours seems to be, told by its names and shapes, for messages."""

from __future__ import annotations

import re

from transkd.models.weights import Shapes

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
