"""LVT, the Lite Vision Transformer (Yang et al., CVPR 2022), in the form that TransKD distils.

Inside, maps are channels-last, (B, H, W, C); the taps are views of them, NCHW in shape.
"""

from __future__ import annotations

from itertools import pairwise
from math import sqrt
from typing import cast

import torch
from timm.layers import DropPath, Mlp
from torch import Tensor, nn

from transkd.models.backbones.base import Backbone
from transkd.models.backbones.lvt_attention import ConvolutionalSelfAttention, RecursiveAtrousSelfAttention

CHANNELS = (64, 64, 160, 256)
STRIDES = (4, 8, 16, 32)
HEADS = (2, 2, 5, 8)
MLP_RATIOS = (4, 8, 4, 4)
REDUCTIONS = (4, 2, 1)  # of stages 2 to 4
BLOCKS_PER_STAGE = 2


class OverlapPatchEmbedding(nn.Module):
    """A strided convolution padded by half its kernel, and a layer norm.

    Args:
        in_channels: channels of the image or of the stage before.
        channels: channels of the embedding.
        kernel: size of the convolution's kernel.
        stride: its stride.
    """

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, kernel, stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(channels)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Embed (B, in_channels, H, W): before the norm as (B, C, h, w), after it as (B, h, w, C)."""
        embedding: Tensor = self.proj(maps)
        return embedding, self.norm(embedding.permute(0, 2, 3, 1))


class DepthwiseMlp(nn.Module):
    """A two-layer perceptron at every position with a depthwise 3x3 convolution before its GELU.

    Args:
        channels: channels of the map.
        hidden: channels between the two layers.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.dwconv = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to the same shape."""
        hidden = self.act(self.dwconv(self.fc1(x.permute(0, 3, 1, 2))))
        return cast(Tensor, self.fc2(hidden).permute(0, 2, 3, 1))


class Block(nn.Module):
    """A pre-norm transformer block on maps (B, H, W, C).

    Args:
        channels: C.
        attention: from a map to one of the same shape.
        mlp: from a map to one of the same shape.
        drop_path: share of samples whose attention, and whose MLP, training skips.
    """

    def __init__(self, channels: int, attention: nn.Module, mlp: nn.Module, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = attention
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = mlp
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to the same shape."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return cast(Tensor, x + self.drop_path(self.mlp(self.norm2(x))))


class Stage(nn.Module):
    """A patch embedding and the blocks on it.

    Args:
        index: 0 to 3.
        drop_paths: stochastic depth, a rate for each block.
    """

    def __init__(self, index: int, drop_paths: list[float]) -> None:
        super().__init__()
        first = index == 0
        before = 3 if first else CHANNELS[index - 1]
        self.patch_embed = OverlapPatchEmbedding(before, CHANNELS[index], *((7, 4) if first else (3, 2)))
        self.blocks = nn.ModuleList(
            Block(CHANNELS[index], _attention(index), _mlp(index), drop_path) for drop_path in drop_paths
        )

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return the patch embedding before its norm and the feature map, both (B, C, h, w)."""
        embedding, x = self.patch_embed(maps)
        for block in self.blocks:
            x = block(x)
        return embedding, x.permute(0, 3, 1, 2)


class LiteVisionTransformer(Backbone):
    """LVT: convolutional self-attention at stride 4, recursive atrous self-attention after (3.4 M parameters).

    It differs from MiT and PVTv2 in what its taps are. A patch embedding is tapped *before* its layer norm:
    TransKD's published code does so for LVT alone, and the adapters of its checkpoints are trained on that.
    A feature map is the last block's output, for LVT has no norm after a stage.

    Linear layers start from a truncated normal distribution of standard deviation 0.02, convolutions from a
    normal one of variance 2 / fan-out, biases from 0: MiT's and PVTv2's initialisation.

    Args:
        drop_path_rate: stochastic depth of the deepest block; it grows linearly from 0 over all blocks. LVT
            has none.
    """

    def __init__(self, drop_path_rate: float = 0.0) -> None:
        super().__init__()
        self.channels = CHANNELS
        self.strides = STRIDES
        blocks = BLOCKS_PER_STAGE * len(CHANNELS)
        rates = [drop_path_rate * block / (blocks - 1) for block in range(blocks)]
        bounds = range(0, blocks + 1, BLOCKS_PER_STAGE)
        self.stages = nn.ModuleList(Stage(i, rates[start:end]) for i, (start, end) in enumerate(pairwise(bounds)))
        self.apply(_initialise)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Run the stages; see the base class, and above for what is tapped."""
        embeddings: list[Tensor] = []
        features: list[Tensor] = []
        x = images
        for stage in self.stages:
            embedding, x = stage(x)
            embeddings.append(embedding)
            features.append(x)
        return tuple(embeddings), tuple(features)


def _attention(index: int) -> nn.Module:
    channels, heads = CHANNELS[index], HEADS[index]
    if index == 0:
        return ConvolutionalSelfAttention(channels, heads)
    return RecursiveAtrousSelfAttention(channels, heads, REDUCTIONS[index - 1])


def _mlp(index: int) -> nn.Module:
    channels = CHANNELS[index]
    hidden = MLP_RATIOS[index] * channels
    return cast(nn.Module, Mlp(channels, hidden)) if index == 0 else DepthwiseMlp(channels, hidden)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.out_channels // module.groups * module.kernel_size[0] * module.kernel_size[1]
        nn.init.normal_(module.weight, std=sqrt(2 / fan_out))
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
