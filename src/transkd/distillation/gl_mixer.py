"""GL-Mixer: patch embedding alignment with a globally and locally mixed deep embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transkd.distillation.base import require_stages
from transkd.distillation.embedding import EmbeddingLoss
from transkd.distillation.registry import register_loss
from transkd.errors import ConfigError
from transkd.models.taps import Taps
from transkd.options import NonNegativeFloat, Positive


class SelfAttention(nn.Module):
    """Multi-head self-attention over tokens; no bias on queries, keys and values, an output projection."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.proj = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Attend over tokens (B, N, C)."""
        query, key, value = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value)
        return cast(Tensor, self.proj(attended.transpose(1, 2).flatten(2)))


class GlobalLocalMixer(nn.Module):
    """Mix a map globally by self-attention and locally by a gated 1-D convolution along its token sequence.

    The two branches are weighed by learned scalars. The published code leaves these uninitialised; here both
    start at 0.5: the mean of the branches, so that neither is preferred and both learn from the first step.
    """

    def __init__(self, channels: int, heads: int, *, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.attention = SelfAttention(channels, heads)
        self.local = nn.Conv1d(channels, channels, 3, padding=1)
        self.local_gate = nn.Conv1d(channels, channels, 3, padding=1)
        self.global_weight = nn.Parameter(torch.full((1,), 0.5))
        self.local_weight = nn.Parameter(torch.full((1,), 0.5))

    def forward(self, embedding: Tensor) -> Tensor:
        """Mix a map of shape (B, C, H, W); tokens run row by row."""
        sequence = embedding.flatten(2)
        attended = self.attention(sequence.transpose(1, 2)).transpose(1, 2)
        gated = self.local(sequence) * self.local_gate(sequence).sigmoid()
        mixed = self.global_weight * attended + self.local_weight * gated
        if self.residual:
            mixed = mixed + sequence
        return cast(Tensor, mixed.unflatten(2, embedding.shape[-2:]))


@register_loss("gl_mixer")
class GLMixer(EmbeddingLoss):
    """Patch embedding alignment with one stage's embedding mixed globally and locally first.

    TransKD-GL is this and ``csf``.

    Args:
        stage_weights: as in :class:`EmbeddingLoss`.
        stage: the student's stage that is mixed, counted from 1; 4, the deepest of four, in the paper.
        heads: attention heads of the mixer.
        residual: whether the embedding itself is added to the mixture; off in the paper's code.

    Raises:
        ConfigError: if the stage is not one that is compared, or the heads do not divide its channels.
    """

    def __init__(
        self,
        student_channels: Sequence[int],
        teacher_channels: Sequence[int],
        *,
        stage_weights: Sequence[NonNegativeFloat] | None = None,
        stage: Positive = 4,
        heads: Positive = 8,
        residual: bool = False,
    ) -> None:
        super().__init__(student_channels, teacher_channels, stage_weights=stage_weights)
        compared = [own + 1 for own, _ in self.pairing()]
        require_stages(self.name, "stage", [stage], compared)
        channels = self.student_channels[stage - 1]
        if channels % heads:
            raise ConfigError(
                f"{self.name}: heads={heads} does not divide the {channels} channels of the student's "
                f"stage {stage}; choose heads from {[h for h in range(1, 17) if channels % h == 0]}"
            )
        self.mixed_pair = compared.index(stage)
        self.mixer = GlobalLocalMixer(channels, heads, residual=residual)

    def embedding(self, student: Taps, pair: int) -> Tensor:
        """Return the student's patch embedding (B, C_i, h, w) of a pair, mixed at the stage chosen."""
        embedding = super().embedding(student, pair)
        return cast(Tensor, self.mixer(embedding)) if pair == self.mixed_pair else embedding
