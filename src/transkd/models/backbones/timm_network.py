"""Any hierarchical network of timm as a backbone, known by its structure and not by its name.

The structure (stages, sizes, stochastic depth, patch embeddings) is found on the meta device, without computing or
holding weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import timm
import torch
from timm.layers import DropPath
from torch import Tensor, nn
from torch.nn import functional as F

from transkd.errors import ConfigError
from transkd.models.backbones.base import Backbone, BackboneEntry
from transkd.models.backbones.patch_embedding import NoPatchEmbeddingError, PatchEmbedding, find_patch_embeddings

STRIDES = (4, 8, 16, 32)
EXAMPLES = "swin_tiny_patch4_window7_224, twins_svt_small, convnext_tiny"
# What timm's networks of a fixed input size call the option that takes any.
ANY_SIZE_OPTIONS: tuple[Mapping[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})
PADDED_STEPS = (1, 4, 8, 16, 32)  # a network of a larger step would see more padding than image
ODD_SIZES = ((33, 47), (97, 135))
PROBE_SIZE = (160, 224)
SHARE_OF_DEEPEST = 0.75  # some networks count one block more than they have, so the deepest gets less than the rate
LARGE = 20_000_000  # parameters; MiT-B1 has 13 million, MiT-B2 24


@dataclass(frozen=True)
class Hierarchy:
    """The structure of a timm network.

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


class TimmBackbone(Backbone):
    """A hierarchical timm network without its classifier.

    Its feature maps are those of timm's ``features_only`` models. Its patch embeddings are the outputs of the layers
    that take one stage's map to the next stage's size by one linear projection; where a stage has no such layer, as
    in a residual network, there are none of any stage. Images of a size that the network does not take are padded
    with zeros at the right and the bottom, and the maps cropped; where a stride does not divide the size, some networks
    round the size of a map up and others down.

    Args:
        network: the timm network, pruned to what the feature maps need.
        hierarchy: its structure.
    """

    def __init__(self, network: nn.Module, hierarchy: Hierarchy) -> None:
        super().__init__()
        self.network = network
        self.hierarchy = hierarchy
        self.channels = hierarchy.channels
        self.strides = STRIDES
        self.missing_embeddings = hierarchy.missing_embeddings
        for embedding in hierarchy.patch_embeddings:
            network.get_submodule(embedding.module).register_forward_hook(_keep)

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Run the network; see the base class.

        Raises:
            ValueError: images of a size that the network does not take.
        """
        padded = self._padded(images)
        features = feature_maps(self.network, self.hierarchy.levels, padded)
        embeddings = tuple(
            _spatial(self.network.get_submodule(embedding.module), embedding.dims, feature)
            for embedding, feature in zip(self.hierarchy.patch_embeddings, features, strict=False)
        )
        if padded is images:
            return embeddings, features
        height, width = images.shape[2:]  # and drop the positions that see nothing of the image
        cropped = [
            tuple(x[..., : -(-height // s), : -(-width // s)] for x, s in zip(maps, STRIDES, strict=False))
            for maps in (embeddings, features)
        ]
        return cropped[0], cropped[1]

    def _padded(self, images: Tensor) -> Tensor:
        step, (height, width) = self.hierarchy.size_step, images.shape[2:]
        if step == 1:
            return images
        exporting = torch.compiler.is_exporting() and step in PADDED_STEPS
        if not exporting and height % step == 0 and width % step == 0:  # an exported program may not depend on that
            return images
        if step not in PADDED_STEPS:
            raise ValueError(
                f"{self.hierarchy.name} takes images whose sides are multiples of {step} pixels, not {height}x{width}: "
                f"resize or crop them, or take a backbone of any size, such as {EXAMPLES}"
            )
        down, right = ((side + step - 1) // step * step - side for side in (height, width))
        return F.pad(images, (0, right, 0, down))


def _keep(layer: nn.Module, _: Any, output: Any) -> None:
    """Keep a layer's output at the layer, for the rest of the forward pass; a hook that copies and pickles as it is."""
    layer.__dict__["_kept"] = output if isinstance(output, Tensor) else output[0]


def _spatial(layer: nn.Module, dims: str, feature: Tensor) -> Tensor:
    """Take the kept output from a layer, and return it as (B, C_i, h_i, w_i), the size of its stage's feature map."""
    output: Tensor = layer.__dict__.pop("_kept")
    if dims == "NLC":
        output = output.transpose(1, 2).reshape(feature.shape)
    return output.permute(0, 3, 1, 2) if dims == "NHWC" else output


def timm_entry(name: str) -> BackboneEntry:
    """Return the entry of timm's network called ``name``.

    Raises:
        ConfigError: it is not hierarchical.
    """
    hierarchy = timm_hierarchy(name)
    width = 256 if hierarchy.parameters < LARGE else 768
    return BackboneEntry(partial(timm_backbone, name), "segformer", width, hierarchy.drop_path_rate)


def timm_backbone(name: str, drop_path_rate: float) -> TimmBackbone:
    """Return timm's network called ``name`` as a backbone, randomly initialised.

    Raises:
        ConfigError: it is not hierarchical, or it has no stochastic depth and some is requested.
    """
    hierarchy = timm_hierarchy(name)
    options = dict(hierarchy.options)
    if drop_path_rate != hierarchy.drop_path_rate:
        options["drop_path_rate"] = drop_path_rate
    try:
        network = feature_network(name, hierarchy.levels, options)
    except TypeError:
        network = feature_network(name, hierarchy.levels, hierarchy.options)
    if not SHARE_OF_DEEPEST * drop_path_rate <= stochastic_depth(network) <= drop_path_rate + 1e-6:
        raise ConfigError(
            f"{name} cannot have drop_path_rate={drop_path_rate}: timm's network takes no stochastic depth; "
            f"leave drop_path_rate out, or null"
        )
    return TimmBackbone(network, hierarchy)


@lru_cache(maxsize=64)
def timm_hierarchy(name: str) -> Hierarchy:
    """Find the structure of a timm network, without computing or holding its weights.

    Raises:
        ConfigError: its feature maps are not at strides 4, 8, 16 and 32.
    """
    with torch.device("meta"):
        levels, channels = _levels(name)
        options, network, step = _any_size(name, levels)
        size = [max(-(-side // step) * step, side) for side in PROBE_SIZE]
        if size[0] == size[1]:
            size[1] += step
        found: tuple[PatchEmbedding, ...] = ()
        missing = None
        try:
            image = torch.zeros(1, 3, *size)
            found = find_patch_embeddings(network, lambda x: feature_maps(network, levels, x), image)
        except NoPatchEmbeddingError as error:
            missing = f"{name} has no patch embeddings: {error}"
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Hierarchy(name, options, levels, channels, step, stochastic_depth(network), parameters, found, missing)


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
    last = {stride: index for index, (stride, _) in enumerate(info)}
    if not set(STRIDES) <= set(last) or not hasattr(network, "forward_intermediates"):
        strides = ", ".join(map(str, sorted(last)))
        has = f"its feature maps have strides {strides}" if info else "it gives no feature maps"
        raise ConfigError(
            f"{name} is not hierarchical as a segmenter needs it, with feature maps at strides 4, 8, 16 and 32: "
            f"{has}; take another, such as {EXAMPLES}"
        )
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


@torch.no_grad()
def _runs(network: nn.Module, levels: Sequence[int], size: Sequence[int]) -> bool:
    try:
        feature_maps(network, levels, torch.zeros(1, 3, *size))
    except (RuntimeError, AssertionError, ValueError, IndexError, TypeError):
        return False
    return True
