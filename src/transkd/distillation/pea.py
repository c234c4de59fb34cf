"""PEA: patch embedding alignment."""

from __future__ import annotations

from transkd.distillation.embedding import EmbeddingLoss
from transkd.distillation.registry import register_loss


@register_loss("pea")
class PatchEmbeddingAlignment(EmbeddingLoss):
    """Patch embedding alignment: a linear layer a stage takes the student's embedding to the teacher's width.

    TransKD-Base is this and ``csf``. Arguments and errors are those of :class:`EmbeddingLoss`.
    """
