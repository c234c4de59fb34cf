"""EA: patch embedding alignment helped by a second patch embedding of the teacher's width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transkd.distillation.base import resample_to
from transkd.distillation.embedding import EmbeddingLoss, linear_over_channels
from transkd.distillation.registry import register_loss
from transkd.models.taps import Taps
from transkd.options import NonNegativeFloat

IMAGE_CHANNELS = 3


class AssistantEmbedding(nn.Module):
    """An overlapping patch embedding, scaled: a strided convolution padded by half its kernel, a layer norm.

    Its convolution starts as torch's do. The published code's starts normal, of another scale, which the layer norm
    cancels, and without bias.
    """

    def __init__(self, in_channels: int, channels: int, *, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, kernel, stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(channels)

    def forward(self, maps: Tensor, scale: Tensor) -> Tensor:
        """Embed (B, in_channels, H, W) as (B, channels, H / stride, W / stride), times the scale."""
        norm = self.norm
        embedded = self.proj(maps).permute(0, 2, 3, 1)
        scaled = F.layer_norm(embedded, norm.normalized_shape, scale * norm.weight, scale * norm.bias, norm.eps)
        return scaled.permute(0, 3, 1, 2)


@register_loss("ea")
class EmbeddingAssistant(EmbeddingLoss):
    """Patch embedding alignment where each stage's aligned embedding is p_i * linear(E_i) + q_i * A_i.

    A_i is a second patch embedding with the teacher's channels: of the image (7x7, stride 4) at the student's
    first stage, of the student's feature map of the stage before (3x3, stride 2) at all others. Where the
    student's own patch embedding has another stride, A_i is resampled to its size. The learned scalars start
    at p_i = 0.1 i and q_i = 0.1 (i + 4), i counted from 1. TransKD-EA is this and ``csf``.

    Args:
        stage_weights: as in :class:`EmbeddingLoss`.
        parts: ``"both"``; for an ablation ``"embedding"``, p_i * linear(E_i) alone, or ``"assistant"``, q_i * A_i
            alone, from which the student learns through the feature maps that A_i is made of.

    Raises:
        ConfigError: if there is not one weight a pair, or all are 0.
    """

    requires = frozenset({"embeddings", "features"})

    def __init__(
        self,
        student_channels: Sequence[int],
        teacher_channels: Sequence[int],
        *,
        stage_weights: Sequence[NonNegativeFloat] | None = None,
        parts: Literal["both", "embedding", "assistant"] = "both",
    ) -> None:
        super().__init__(student_channels, teacher_channels, stage_weights=stage_weights)
        self.parts = parts
        numbers = [own + 1 for own, _ in self.pairing()]
        if parts == "assistant":
            del self.linears  # DistributedDataParallel fails on parameters outside the graph
        if parts != "embedding":
            self.assistants = nn.ModuleList(
                AssistantEmbedding(IMAGE_CHANNELS, teachers, kernel=7, stride=4)
                if number == 1
                else AssistantEmbedding(self.student_channels[number - 2], teachers, kernel=3, stride=2)
                for number, (_, teachers) in zip(numbers, self.paired_channels(), strict=True)
            )
        if parts != "assistant":
            self.linear_weights = nn.ParameterList(torch.full((1,), 0.1 * i) for i in numbers)
        if parts != "embedding":
            self.assistant_weights = nn.ParameterList(torch.full((1,), 0.1 * (i + 4)) for i in numbers)

    def align(self, student: Taps, pair: int) -> Tensor:
        """Return the assisted patch embedding of a pair at the teacher's width: (B, D_i, h, w)."""
        if self.parts == "assistant":
            return self._assistant(student, pair)
        # The scalars multiply the layers' weights, not whole maps: the same sum at less time and memory.
        linear, share = cast(nn.Linear, self.linears[pair]), self.linear_weights[pair]
        aligned = linear_over_channels(self.embedding(student, pair), share * linear.weight, share * linear.bias)
        return aligned if self.parts == "embedding" else aligned + resample_to(self._assistant(student, pair), aligned)

    def _assistant(self, student: Taps, pair: int) -> Tensor:
        stage, _ = self.pairing()[pair]
        before = student.images if stage == 0 else self.student_maps(student, "features")[stage - 1]
        return cast(Tensor, self.assistants[pair](before, self.assistant_weights[pair]))
