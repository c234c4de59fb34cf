"""What a timm network is made of, found out on the meta device: stages, sizes, stochastic depth, patch embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import timm
import torch
from timm.layers import DropPath
from torch import Tensor, nn

from transkd.errors import ConfigError
from transkd.models.backbones.patch_embedding import NoPatchEmbeddingError, PatchEmbedding, find_patch_embeddings

STRIDES = (4, 8, 16, 32)
EXAMPLES = "swin_tiny_patch4_window7_224, twins_svt_small, convnext_tiny"
# What timm's networks of a fixed input size call the option that takes any.
ANY_SIZE_OPTIONS: tuple[Mapping[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})
PADDED_STEPS = (1, 4, 8, 16, 32)  # a network of a larger step would see more padding than image
ODD_SIZES = ((33, 47), (97, 135))
PROBE_SIZE = (160, 224)


@dataclass(frozen=True)
class Hierarchy:
    """What a timm network is made of, as far as a segmenter is concerned.

    Attributes:
        name: the network's name.
        options: arguments that make it take images of any size, where it has such.
        levels: indices of its feature maps at strides 4, 8, 16 and 32.
        channels: C_i of those.
        size_step: the sides of the images it takes are multiples of this many pixels.
        drop_path_rate: its own stochastic depth.
        parameters: how many it has.
        patch_embeddings: one a stage, or none at all.
        missing_embeddings: why there are none, as a sentence; None where there are.
    """

    name: str
    options: Mapping[str, Any]
    levels: tuple[int, ...]
    channels: tuple[int, ...]
    size_step: int
    drop_path_rate: float
    parameters: int
    patch_embeddings: tuple[PatchEmbedding, ...]
    missing_embeddings: str | None


@lru_cache(maxsize=64)
def timm_hierarchy(name: str) -> Hierarchy:
    """Find out what a timm network is made of, without computing or holding its weights.

    Raises:
        ConfigError: its feature maps are not at strides 4, 8, 16 and 32.
    """
    with torch.device("meta"):
        levels, channels = _levels(name)
        options, network, step = _any_size(name, levels)
        size = [max(-(-side // step) * step, side) for side in PROBE_SIZE]
        if size[0] == size[1]:
            size[1] += step
        try:
            image = torch.zeros(1, 3, *size)
            found = find_patch_embeddings(network, lambda x: feature_maps(network, levels, x), image)
            missing = None
        except NoPatchEmbeddingError as error:
            found, missing = (), f"{name} has no patch embeddings: {error}"
    return Hierarchy(
        name=name,
        options=options,
        levels=levels,
        channels=channels,
        size_step=step,
        drop_path_rate=stochastic_depth(network),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        patch_embeddings=found,
        missing_embeddings=missing,
    )


def feature_maps(network: nn.Module, levels: Sequence[int], images: Tensor) -> tuple[Tensor, ...]:
    """Return the feature maps of some levels of a timm network: per level (B, C_i, H/s_i, W/s_i)."""
    intermediates: Any = network.forward_intermediates
    return tuple(intermediates(images, indices=list(levels), output_fmt="NCHW", intermediates_only=True))


def feature_network(name: str, levels: Sequence[int], options: Mapping[str, Any]) -> nn.Module:
    """Return timm's network called ``name``, pruned to what the feature maps of these levels need."""
    features = timm.create_model(name, features_only=True, feature_cls="getter", out_indices=tuple(levels), **options)
    network: nn.Module = features.model
    return network


def stochastic_depth(network: nn.Module) -> float:
    """Return the largest rate at which the network drops a block."""
    rates = [module.drop_prob for module in network.modules() if isinstance(module, DropPath)]
    return round(max(rates, default=0.0), 6)


def _levels(name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the indices and channels of the last feature map of each stride."""
    network = timm.create_model(name, num_classes=0)
    info = [(level["reduction"], level["num_chs"]) for level in getattr(network, "feature_info", None) or ()]
    strides = sorted({stride for stride, _ in info})
    if not set(STRIDES) <= set(strides) or not hasattr(network, "forward_intermediates"):
        has = (
            "it gives no feature maps" if not info else f"its feature maps have strides {', '.join(map(str, strides))}"
        )
        raise ConfigError(
            f"{name} is not hierarchical as a segmenter needs it, with feature maps at strides 4, 8, 16 and 32: "
            f"{has}; take another, such as {EXAMPLES}"
        )
    last = {stride: index for index, (stride, _) in enumerate(info)}
    return tuple(last[s] for s in STRIDES), tuple(info[last[s]][1] for s in STRIDES)


def _any_size(name: str, levels: Sequence[int]) -> tuple[Mapping[str, Any], nn.Module, int]:
    """Return the options with which the network takes the most sizes, the network, and the step of its sizes."""
    for options in ANY_SIZE_OPTIONS:
        try:
            network = feature_network(name, levels, options).eval()
        except TypeError:
            continue
        for step in PADDED_STEPS:
            if all(_runs(network, levels, [-(-side // step) * step for side in size]) for size in ODD_SIZES):
                return options, network, step
    network = feature_network(name, levels, {}).eval()
    own = timm.get_pretrained_cfg(name).input_size[-1]
    for step in sorted({64, 224, 256, own}):
        if _runs(network, levels, (step, 2 * step)):
            return {}, network, step
    raise ConfigError(
        f"{name} takes images of {own}x{own} pixels only, and a segmenter has to take others; take another, "
        f"such as {EXAMPLES}"
    )


def _runs(network: nn.Module, levels: Sequence[int], size: Sequence[int]) -> bool:
    """Whether the network takes images of this size."""
    image = torch.zeros(1, 3, *size)
    try:
        with torch.no_grad():
            feature_maps(network, levels, image)
    except (RuntimeError, AssertionError, ValueError, IndexError, TypeError):
        return False
    return True
