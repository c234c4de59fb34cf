"""Any hierarchical network of timm as a backbone, known by its structure and not by its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transkd.errors import ConfigError
from transkd.models.backbones.base import Backbone
from transkd.models.backbones.timm_structure import (
    EXAMPLES,
    PADDED_STEPS,
    STRIDES,
    Hierarchy,
    feature_maps,
    feature_network,
    stochastic_depth,
    timm_hierarchy,
)

SHARE_OF_DEEPEST = 0.75  # some networks count one block more than they have, so the deepest gets less than the rate


class TimmBackbone(Backbone):
    """A hierarchical timm network without its classifier.

    Its feature maps are those of timm's ``features_only`` models. Its patch embeddings are the outputs of the layers
    that take one stage's map to the next stage's size by one linear projection; where a stage has no such layer, as
    in a residual network, there are none of any stage. Images of a size that the network does not take are padded
    with zeros at the right and the bottom, and the maps cropped; where a stride does not divide the size, some networks
    round the size of a map up and others down.

    Args:
        network: the timm network, pruned to what the feature maps need.
        hierarchy: what is known of it.

    Attributes:
        missing_embeddings: why there are no patch embeddings, as a sentence; None where there are.
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
            _spatial(_take(self.network.get_submodule(e.module)), e.layout, feature)
            for e, feature in zip(self.hierarchy.patch_embeddings, features, strict=False)
        )
        if padded is images:
            return embeddings, features
        height, width = images.shape[2:]
        return _cropped(embeddings, height, width), _cropped(features, height, width)

    def _padded(self, images: Tensor) -> Tensor:
        step, (height, width) = self.hierarchy.size_step, images.shape[2:]
        if step == 1:
            return images
        if torch.compiler.is_exporting() and step in PADDED_STEPS:  # whether to pad may not depend on the size there
            down, right = ((side + step - 1) // step * step - side for side in (height, width))
            return F.pad(images, (0, right, 0, down))
        if height % step == 0 and width % step == 0:
            return images
        if step not in PADDED_STEPS:
            raise ValueError(
                f"{self.hierarchy.name} takes images whose sides are multiples of {step} pixels, not {height}x{width}: "
                f"resize or crop them, or take a backbone of any size, such as {EXAMPLES}"
            )
        return F.pad(images, (0, -width % step, 0, -height % step))


def timm_backbone(name: str, drop_path_rate: float) -> TimmBackbone:
    """Return timm's network called ``name`` as a backbone, randomly initialised.

    Args:
        name: of a hierarchical network of timm.
        drop_path_rate: stochastic depth of the deepest block.

    Raises:
        ConfigError: it is not hierarchical, or it has no stochastic depth and is asked for some.
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


def _keep(layer: nn.Module, _: Any, output: Any) -> None:
    """Keep a layer's output at the layer, for the rest of the forward pass; a hook that copies and pickles as it is."""
    layer.__dict__["_kept"] = output if isinstance(output, Tensor) else output[0]


def _take(layer: nn.Module) -> Tensor:
    """Return what the hook kept, which the layer then no longer holds."""
    output: Tensor = layer.__dict__.pop("_kept")
    return output


def _spatial(output: Tensor, layout: str, feature: Tensor) -> Tensor:
    """Return a layer's output as (B, C_i, h_i, w_i), the size of its stage's feature map."""
    if layout == "NLC":
        output = output.transpose(1, 2).reshape(feature.shape)
    return output.permute(0, 3, 1, 2) if layout == "NHWC" else output


def _cropped(maps: Sequence[Tensor], height: int, width: int) -> tuple[Tensor, ...]:
    """Return the maps (B, C_i, h_i, w_i) without the positions that see nothing of an image of this size."""
    return tuple(x[..., : -(-height // s), : -(-width // s)] for x, s in zip(maps, STRIDES, strict=False))
