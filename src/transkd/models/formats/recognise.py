"""What a state dict is of, by its names and shapes: a segmenter's architecture, or a network that is no segmenter."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from transkd.errors import WeightsError, first_few
from transkd.models.backbones.pyramid import SIZES

_LVT_CHANNELS = (64, 64, 160, 256)
_BLOCK = re.compile(r"backbone\.stages\.(\d+)\.blocks\.(\d+)\.")
_PATCH_EMBEDDING = re.compile(r"backbone\.(?:stages\.(\d+)\.)?(?:patch_embed|downsample)\.proj\.weight")
_WIDTHS = {"segformer": "head.fuse.weight", "semantic_fpn": "head.scales.0.0.weight"}
"""Head -> the tensor whose first dimension is its width."""


def mit_name(channels: Sequence[int], depths: Sequence[int]) -> str | None:
    """Return the name of the MiT with these channels and depths, None where there is none."""
    wanted = (tuple(channels), tuple(depths))
    return next((f"mit_b{size}" for size, has in SIZES.items() if has == wanted), None)


def infer_config(state: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """Return backbone, num_classes, head and head_width of a state dict; None where it is of no MiT, PVTv2 or LVT."""
    head = next((head for head, width in _WIDTHS.items() if width in state), None)
    if head is None or "head.classifier.weight" not in state:
        return None
    backbone = _infer_backbone(state, head)
    sizes = {"head_width": state[_WIDTHS[head]].shape[0], "num_classes": state["head.classifier.weight"].shape[0]}
    return None if backbone is None else {"backbone": backbone, "head": head, **sizes}


def _infer_backbone(state: Mapping[str, Tensor], head: str) -> str | None:
    found = {int(match[1] or 0): state[name].shape[0] for name in state if (match := _PATCH_EMBEDDING.fullmatch(name))}
    channels = tuple(found[stage] for stage in sorted(found))
    if channels == _LVT_CHANNELS:
        return "lvt"
    blocks = {(int(match[1]), int(match[2])) for match in map(_BLOCK.match, state) if match}
    name = mit_name(channels, [sum(stage == of for of, _ in blocks) for stage in range(4)])
    hidden = state.get("backbone.stages.0.blocks.0.mlp.fc1.weight")
    if name is None or hidden is None:
        return None
    if "backbone.stages.3.blocks.0.attn.sr.weight" in state:
        return f"{name.replace('mit', 'pvt_v2')}_li"
    # PVTv2-B5 and MiT-B5 are the same network: both have MLP ratio 4.
    is_pvt = hidden.shape[0] == 8 * channels[0] or (name == "mit_b5" and head != "segformer")
    return name.replace("mit", "pvt_v2") if is_pvt else name


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


def seems_to_be(state: Mapping[str, Tensor]) -> str:
    """Return what a file with these tensors seems to be, as the end of "it seems to be …"."""
    network = next((what for pattern, what in _NETWORKS if any(re.match(pattern, name) for name in state)), None)
    classes = classifier_classes(state)
    if classes is not None:
        return f"a classifier{f' ({network})' if network else ''} of {classes} classes, with no decode head"
    return network or f"another network, with the tensors {first_few(state)}"


def classifier_classes(state: Mapping[str, Tensor]) -> int | None:
    """Return how many classes a classifier's last layer has, None where the tensors are no classifier's."""
    if any(name.startswith("backbone.") for name in state):
        return None
    layers = [tuple(tensor.shape) for name, tensor in state.items() if _CLASSIFIER.fullmatch(name)]
    found = [shape[0] for shape in layers if len(shape) == 2 or shape[2:] == (1, 1)]
    return found[-1] if found else None


def no_segmenter(state: Mapping[str, Tensor], where: Path | str) -> WeightsError:
    """Return the error for weights that are no segmenter's; for a bare backbone, it says how to use that."""
    what = seems_to_be(state)
    text = f"{where} holds no segmenter that can be loaded: it seems to be {what}"
    if "classifier" not in what and not what.endswith(("encoder", "names")):
        return WeightsError(text)
    pretrained = f'"{where}"' if Path(where).exists() else "True"
    return WeightsError(
        f"{text}. Its backbone can still be used, under a new decode head: student.weights=pretrained (or "
        "teacher.weights=pretrained) takes the backbone's published weights; in Python, "
        f"transkd.create_segmenter(BACKBONE, num_classes=…, pretrained={pretrained})"
    )
