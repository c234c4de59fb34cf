"""A teacher that costs only what is used: frozen, in eval mode, and part of nothing that trains or is saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from transkd.models import Segmenter, Taps


class FrozenTeacher(nn.Module):
    """Hold a teacher in eval mode without gradients.

    Its segmenter is frozen in place: parameters no longer require gradients, and :meth:`train` leaves it in eval
    mode whatever it is called with.

    Args:
        segmenter: the teacher.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode, whatever ``mode`` is."""
        del mode
        return super().train(False)

    @torch.no_grad()
    def taps(self, images: Tensor, *, logits: bool) -> Taps:
        """Return the teacher's taps; its head runs only if ``logits`` are asked for."""
        taps: Taps = self.segmenter.taps(images, logits=logits)
        return taps

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return the teacher's logits (B, K, H/4, W/4)."""
        logits: Tensor = self.segmenter(images)
        return logits


class TeacherSlot:
    """Mixin for a module that carries a teacher which is not one of its submodules.

    So parameters, state dict, optimiser, checkpoint, summaries and DDP do not know the teacher; it still follows
    the module to its device, dtype and memory format.
    """

    _slot: tuple[FrozenTeacher, ...] = ()

    @property
    def teacher(self) -> FrozenTeacher:
        """The frozen teacher."""
        return self._slot[0]

    def hold_teacher(self, segmenter: Segmenter) -> None:
        """Freeze ``segmenter`` and hold it (a tuple keeps it from being registered as a submodule)."""
        self._slot = (FrozenTeacher(segmenter),)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        for teacher in self._slot:
            teacher._apply(fn)  # type: ignore[no-untyped-call]
        return super()._apply(fn, recurse)  # type: ignore[misc,no-any-return]
