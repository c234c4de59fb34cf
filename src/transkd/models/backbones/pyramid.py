"""Pyramid vision transformers (MiT, PVTv2), whose layers timm has."""

from __future__ import annotations

import timm
import torch
from timm.models import PyramidVisionTransformerV2
from torch import Tensor

from transkd.models.backbones import mit  # noqa: F401  registers mit_b0 to mit_b5 with timm
from transkd.models.backbones.base import Backbone


class PyramidBackbone(Backbone):
    """A timm pyramid vision transformer (MiT, PVTv2) without its classifier; its state dict has timm's names.

    The maps it returns are views of the tokens, never copies: NCHW in shape, channels-last in memory. The
    convolutions read such views too, so their weights are channels-last as well: on a CPU that takes a fifth
    off the time of inference, or more.

    Args:
        network: the timm model; its layers are taken over, not copied.
    """

    def __init__(self, network: PyramidVisionTransformerV2) -> None:
        super().__init__()
        self.patch_embed = network.patch_embed
        self.stages = network.stages
        self.channels = tuple(info["num_chs"] for info in network.feature_info)
        self.strides = tuple(info["reduction"] for info in network.feature_info)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Run the stages; see the base class."""
        embeddings: list[Tensor] = []
        features: list[Tensor] = []
        x = images
        for stage in self.stages:
            embed = self.patch_embed if stage.downsample is None else stage.downsample
            tokens = embed(x)  # (B, H_i, W_i, C_i)
            size = tokens.shape[1:3]
            embeddings.append(tokens.permute(0, 3, 1, 2))
            tokens = tokens.flatten(1, 2)
            for block in stage.blocks:
                tokens = block(tokens, size)
            x = stage.norm(tokens).unflatten(1, size).permute(0, 3, 1, 2)
            features.append(x)
        return tuple(embeddings), tuple(features)


def pyramid_backbone(name: str, drop_path_rate: float) -> Backbone:
    """Return timm's pyramid vision transformer called ``name``, randomly initialised.

    Args:
        name: ``mit_b0`` to ``mit_b5``, ``pvt_v2_b0`` to ``pvt_v2_b5`` or ``pvt_v2_b2_li``.
        drop_path_rate: stochastic depth of the deepest block.
    """
    return PyramidBackbone(timm.create_model(name, num_classes=0, drop_path_rate=drop_path_rate))
