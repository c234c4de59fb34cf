"""Backbones by name: hierarchical transformers that show each stage's patch embedding and feature map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import timm
import torch
from timm.models import PyramidVisionTransformerV2
from torch import Tensor, nn

from transkd.errors import ConfigError, did_you_mean
from transkd.models import mit  # noqa: F401  registers mit_b0 to mit_b5 with timm


class Backbone(nn.Module):
    """Base of the hierarchical transformers that a segmenter is built on.

    Attributes:
        channels: C_i, channels of each stage's patch embedding and feature map.
        strides: s_i, pixels of the image per position of each stage's maps.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return the patch embeddings and the feature maps, one of each per stage.

        Args:
            images: (B, 3, H, W) normalised images.

        Returns:
            Two tuples of tensors (B, C_i, ceil(H/s_i), ceil(W/s_i)).
        """
        raise NotImplementedError


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


def _pyramid_backbone(name: str, drop_path_rate: float) -> Backbone:
    return PyramidBackbone(timm.create_model(name, num_classes=0, drop_path_rate=drop_path_rate))


@dataclass(frozen=True)
class BackboneEntry:
    """How a named backbone is made, and the head that its size calls for.

    Attributes:
        build: makes the backbone, randomly initialised, from a stochastic-depth rate.
        head_width: channels of the head where the user names none.
    """

    build: Callable[[float], Backbone]
    head_width: int


_BACKBONES = {
    f"{family}_b{size}": BackboneEntry(
        build=partial(_pyramid_backbone, f"{family}_b{size}"), head_width=256 if size < 2 else 768
    )
    for family in ("mit", "pvt_v2")
    for size in range(6)
}


def available_backbones() -> list[str]:
    """Return the names of the backbones that ``create_segmenter`` takes, sorted."""
    return sorted(_BACKBONES)


def find_backbone(name: str) -> BackboneEntry:
    """Return the entry of the backbone called ``name``.

    Raises:
        ConfigError: there is no backbone of that name.
    """
    if name not in _BACKBONES:
        raise ConfigError(f"there is no backbone '{name}'; {did_you_mean(name, _BACKBONES)}")
    return _BACKBONES[name]
