"""Pyramid vision transformers: PVTv2 as timm has it, and MiT, the encoders of SegFormer, made of its layers.

MiT (Xie et al., NeurIPS 2021) shares every layer with timm's PVTv2: overlapping patch embeddings, attention over
spatially reduced keys, MLPs with a depthwise convolution, a norm after each stage. Only the MLP ratio differs: 4 in
all stages. So ``mit_b0`` to ``mit_b5`` are registered with timm as configurations of its class.
"""

from __future__ import annotations

from collections.abc import Callable

import timm
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import PyramidVisionTransformerV2, build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from transkd.models.backbones.base import Backbone

_SMALL, _LARGE = (32, 64, 160, 256), (64, 128, 320, 512)
SIZES = {
    0: (_SMALL, (2, 2, 2, 2)),
    1: (_LARGE, (2, 2, 2, 2)),
    2: (_LARGE, (3, 4, 6, 3)),
    3: (_LARGE, (3, 4, 18, 3)),
    4: (_LARGE, (3, 8, 27, 3)),
    5: (_LARGE, (3, 6, 40, 3)),
}
"""Size -> channels and depths of its stages, the same in MiT and PVTv2."""


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
        embeddings, features, x = list[Tensor](), list[Tensor](), images
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
    """Return the MiT or PVTv2 called ``name``, randomly initialised."""
    return PyramidBackbone(timm.create_model(name, num_classes=0, drop_path_rate=drop_path_rate))


_IMAGENET = {
    "num_classes": 1000,
    "input_size": (3, 224, 224),
    "pool_size": (7, 7),
    "mean": IMAGENET_DEFAULT_MEAN,
    "std": IMAGENET_DEFAULT_STD,
    "first_conv": "patch_embed.proj",
    "classifier": "head",
    "fixed_input_size": False,
}

default_cfgs = generate_default_cfgs({f"mit_b{size}": _IMAGENET for size in SIZES})


def _mit(size: int) -> Callable[..., nn.Module]:
    """Return what timm makes the MiT of a size with."""
    embed_dims, depths = SIZES[size]

    def create(pretrained: bool = False, **options: object) -> nn.Module:
        heads_and_ratios = {"num_heads": (1, 2, 5, 8), "sr_ratios": (8, 4, 2, 1), "mlp_ratios": (4, 4, 4, 4)}
        settings = {"depths": depths, "embed_dims": embed_dims, **heads_and_ratios}
        model: nn.Module = build_model_with_cfg(
            PyramidVisionTransformerV2,
            create.__name__,
            pretrained,
            feature_cfg={"flatten_sequential": True, "out_indices": (0, 1, 2, 3)},
            **{**settings, **options},
        )
        return model

    create.__name__ = f"mit_b{size}"
    return create


for _size in SIZES:
    register_model(_mit(_size))
