"""LVT, the Lite Vision Transformer (Yang et al., CVPR 2022), in the form that TransKD distils.

Inside, maps are channels-last, (B, H, W, C); the taps are views of them, NCHW in shape.
"""

from __future__ import annotations

from math import sqrt
from typing import cast

import torch
from timm.layers import DropPath, Mlp
from timm.models.pvt_v2 import OverlapPatchEmbed
from torch import Tensor, nn
from torch.nn import functional as F

from transkd.models.backbones.base import Backbone

CHANNELS = (64, 64, 160, 256)
STRIDES = (4, 8, 16, 32)
HEADS = (2, 2, 5, 8)
MLP_RATIOS = (4, 8, 4, 4)
REDUCTIONS = (None, 4, 2, 1)
BLOCKS_PER_STAGE = 2
WINDOW = 3
POSITIONS = WINDOW * WINDOW
WINDOW_STRIDE = 2
DILATIONS = (1, 3, 5)


class ConvolutionalSelfAttention(nn.Module):
    """Self-attention within overlapping windows of 3x3 positions, two apart (LVT, section 3.1).

    As in a convolution, each of the 9 positions k of a window has its own map W_k of its values, shared by all
    windows. As in attention, the output of position j is the mean of the W_k x_k by weights that depend on
    the input: a 9x9 matrix per window and head, the softmax of a linear layer on the mean of 2x2 positions.
    Where windows overlap, their outputs add up; an output projection follows.

    Args:
        channels: C.
        heads: attention heads; must divide C.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (channels // heads) ** -0.5
        self.weights = nn.Linear(channels, heads * POSITIONS * POSITIONS)  # heads, to position, from position
        self.values = nn.Conv2d(POSITIONS * channels, POSITIONS * channels, 1, groups=POSITIONS, bias=False)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Attend within windows of (B, H, W, C); H and W can be odd."""
        _, height, width, _ = x.shape
        attended = self._window_weights(x) @ self._window_values(x)  # (B, h, w, heads, 9, C / heads)
        windows = attended.view(*attended.shape[:4], WINDOW, WINDOW, -1).permute(4, 5, 0, 1, 2, 3, 6).flatten(5)
        rows = add_overlapping(windows, dim=2)  # (3, B, 2h, w, C)
        added = add_overlapping(rows, dim=2)  # (B, 2h, 2w, C)
        return cast(Tensor, self.proj(first_of(first_of(added, height, dim=1), width, dim=2)))

    def _window_weights(self, x: Tensor) -> Tensor:
        """Return the attention of each window, (B, h, w, heads, 9, 9)."""
        pooled = F.avg_pool2d(x.permute(0, 3, 1, 2), WINDOW_STRIDE, ceil_mode=True).permute(0, 2, 3, 1)
        logits = self.weights(pooled).unflatten(3, (self.heads, POSITIONS, POSITIONS))
        return cast(Tensor, (logits * self.scale).softmax(dim=-1))

    def _window_values(self, x: Tensor) -> Tensor:
        """Return the values of each window, (B, h, w, heads, 9, C / heads)."""
        batch, height, width, channels = x.shape
        padded = F.pad(x, (0, 0, 1, 1, 1, 1))
        # Window i covers the padded rows 2i to 2i + 2, so that there are ceil(H / 2) windows in a column.
        high, wide = (height + 1) // 2, (width + 1) // 2
        rows, columns = 2 * high - 1, 2 * wide - 1
        positions = torch.stack(
            [
                padded[:, top : top + rows : WINDOW_STRIDE, left : left + columns : WINDOW_STRIDE]
                for top in range(WINDOW)
                for left in range(WINDOW)
            ]
        )  # (9, B, h, w, C)
        maps = self.values.weight.view(POSITIONS, channels, channels)  # (9, to C, from C)
        values = torch.bmm(positions.flatten(1, 3), maps.transpose(1, 2))
        return values.view(POSITIONS, batch, high, wide, self.heads, -1).permute(1, 2, 3, 4, 0, 5)


def add_overlapping(windows: Tensor, dim: int) -> Tensor:
    """Add up windows of three positions, two apart, the first of them from position -1 on.

    Args:
        windows: (3, ..., n, ...), the outputs at each of the three positions of n windows.
        dim: the axis of the windows, counted without the first one of ``windows``.

    Returns:
        (..., 2n, ...), the positions 0 to 2n - 1: the even ones are in one window, the odd ones in two.
    """
    before, centre, after = windows.unbind(0)
    overlap = before.narrow(dim, 1, before.shape[dim] - 1)
    none = torch.zeros_like(before.narrow(dim, 0, 1))
    odd = after + torch.cat([overlap, none], dim)
    return torch.stack([centre, odd], dim + 1).flatten(dim, dim + 1)


def first_of(maps: Tensor, count: int, dim: int) -> Tensor:
    """Return the first ``count`` positions along a dimension.

    They are picked by index: slices would tie an exported program to maps of even sizes, or of odd ones.
    """
    return maps.index_select(dim, torch.arange(count, device=maps.device))


class RecursiveAtrousSelfAttention(nn.Module):
    """Self-attention over spatially reduced keys, with multi-scale queries, run twice (LVT, section 3.2).

    Atrous: the query map is the sum over dilations 1, 3 and 5 of SiLU(depthwise 3x3 convolution), all with one
    weight. Recursive: y = SiLU(attention(x)), and the output is SiLU(attention(y + x)), with the same weights.

    Args:
        channels: C.
        heads: attention heads; must divide C.
        reduction: stride at which keys and values are taken, 1 for every position.
    """

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(channels, channels, bias=False)
        self.dilated = nn.Conv2d(channels, channels, 3, groups=channels, bias=False)
        self.kv = nn.Linear(channels, 2 * channels, bias=False)
        self.sr = nn.Conv2d(channels, channels, reduction, stride=reduction) if reduction > 1 else None
        self.norm = nn.LayerNorm(channels) if reduction > 1 else None
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Attend over (B, H, W, C)."""
        y = F.silu(self._attend(x))
        return F.silu(self._attend(y + x))

    def _attend(self, x: Tensor) -> Tensor:
        query, weight = self.q(x).permute(0, 3, 1, 2), self.dilated.weight
        scales = (F.conv2d(query, weight, padding=d, dilation=d, groups=len(weight)) for d in DILATIONS)
        query = cast(Tensor, sum(F.silu(scale) for scale in scales)).permute(0, 2, 3, 1)
        reduced = x
        if self.sr is not None and self.norm is not None:
            reduced = self.norm(self.sr(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
        key, value = self.kv(reduced).chunk(2, dim=-1)
        attended = F.scaled_dot_product_attention(self._split(query), self._split(key), self._split(value))
        return cast(Tensor, self.proj(attended.transpose(1, 2).reshape(x.shape)))

    def _split(self, maps: Tensor) -> Tensor:
        """Split (B, H, W, C) into (B, heads, H W, C / heads)."""
        return maps.reshape(maps.shape[0], -1, self.heads, maps.shape[3] // self.heads).transpose(1, 2)


class DepthwiseMlp(nn.Module):
    """A two-layer perceptron at every position with a depthwise 3x3 convolution before its GELU."""

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
    """A pre-norm transformer block on maps (B, H, W, C) of a stage.

    Args:
        stage: 0 to 3.
        drop_path: share of samples whose attention, and whose MLP, training skips.
    """

    def __init__(self, stage: int, drop_path: float) -> None:
        super().__init__()
        channels, heads, reduction = CHANNELS[stage], HEADS[stage], REDUCTIONS[stage]
        hidden = MLP_RATIOS[stage] * channels
        attention, mlp = (
            (ConvolutionalSelfAttention(channels, heads), Mlp(channels, hidden))
            if reduction is None
            else (RecursiveAtrousSelfAttention(channels, heads, reduction), DepthwiseMlp(channels, hidden))
        )
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
        before, kernel, stride = (3, 7, 4) if index == 0 else (CHANNELS[index - 1], 3, 2)
        self.patch_embed = OverlapPatchEmbed(kernel, stride, before, CHANNELS[index])
        self.blocks = nn.ModuleList(Block(index, drop_path) for drop_path in drop_paths)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return the patch embedding before its norm and the feature map, both (B, C, h, w)."""
        embedding = self.patch_embed.proj(maps)
        x = self.patch_embed.norm(embedding.permute(0, 2, 3, 1))
        for block in self.blocks:
            x = block(x)
        return embedding, x.permute(0, 3, 1, 2)


class LiteVisionTransformer(Backbone):
    """LVT: convolutional self-attention at stride 4, recursive atrous self-attention after (3.4 M parameters).

    Its taps differ from those of MiT and PVTv2. A patch embedding is tapped *before* its layer norm:
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
        self.stages = nn.ModuleList(
            Stage(index, rates[BLOCKS_PER_STAGE * index :][:BLOCKS_PER_STAGE]) for index in range(len(CHANNELS))
        )
        self.apply(_initialise)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Run the stages; see the base class, and above for what is tapped."""
        taps: list[tuple[Tensor, Tensor]] = []
        for stage in self.stages:
            taps.append(stage(taps[-1][1] if taps else images))
        embeddings, features = zip(*taps, strict=True)
        return embeddings, features


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
