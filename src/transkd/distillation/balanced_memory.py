"""A memory of labelled vectors that shares its room evenly between the classes, and what an image puts into it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transkd.distillation.labelled_loss import IGNORED, LABELS, class_means, memberships


class BalancedMemory(nn.Module):
    """The newest labelled vectors, as many of each class as fit if room is shared evenly.

    Of a memory of N vectors with K classes seen, a class has the newest N / K of its own, more where others have
    fewer: what a queue for each class would hold, without knowing in advance how many classes there are or
    setting room aside for those that never come. It is saved and loaded with the module that owns it.

    Args:
        size: number of vectors that it holds.
        channels: length of a vector.

    Attributes:
        vectors: (size, channels); those of a class from new to old.
        labels: (size,) uint8, 255 where there is no vector yet.
    """

    vectors: Tensor
    labels: Tensor

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(size, channels))
        self.register_buffer("labels", torch.full((size,), IGNORED, dtype=torch.uint8))

    def forward(self, vectors: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Take new vectors in, then draw at random, evenly over classes.

        In evaluation the draw is the same, but the memory is left as it was.

        Args:
            vectors: (M, channels) new ones, which are copied.
            labels: (M,) int64, 255 for those to leave out.
            count: how many to draw; all where there is room for fewer.

        Returns:
            What was drawn (K, channels), in float32, and for each whether it is a vector or a place still empty, (K,).
        """
        candidates = torch.cat((vectors.detach().to(self.vectors.dtype), self.vectors))
        classes = torch.cat((labels, self.labels.long()))
        kept = evenly(classes, len(self.labels))
        held, held_classes = candidates[kept], classes[kept]
        if self.training:
            self.vectors.copy_(held)
            self.labels.copy_(held_classes)
        order = torch.randperm(len(kept), device=kept.device)
        drawn = order[evenly(held_classes[order], count)]
        return held[drawn].float(), held_classes[drawn] != IGNORED


def evenly(labels: Tensor, count: int) -> Tensor:
    """Choose entries as evenly over labels as there are enough of each, the first ones of a label before later ones.

    Args:
        labels: (N,) int64, 255 for entries that come last, if at all.
        count: how many to choose; all where there are no more.

    Returns:
        Indices (min(count, N),), those of a label in the order that they had.
    """
    turn = torch.where(labels == IGNORED, len(labels), occurrence(labels))
    return turn.argsort(stable=True)[:count]


def occurrence(groups: Tensor) -> Tensor:
    """Return how many entries of its own group precede each entry of ``groups``, (N,) int64."""
    order = groups.argsort(stable=True)
    ordered = groups[order]
    before = torch.arange(len(groups), device=groups.device) - torch.searchsorted(ordered, ordered)
    return torch.empty_like(before).scatter(0, order, before)


def random_pixels(vectors: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Choose random pixels of each class of each image.

    Args:
        vectors: (B, N, C).
        labels: (B, N) int64, 255 where ignored.
        count: how many of a class of an image; all where there are no more.

    Returns:
        All vectors (B * N, C), shuffled, and their labels (B * N,), 255 for those that were not chosen.
    """
    images = torch.arange(len(labels), device=labels.device)[:, None]
    order = torch.randperm(labels.numel(), device=labels.device)
    shuffled = labels.flatten()[order]
    chosen = occurrence((labels + LABELS * images).flatten()[order]) < count
    return vectors.flatten(0, 1)[order], torch.where(chosen, shuffled, IGNORED)


def regions(vectors: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of each class of each image.

    Args:
        vectors: (B, N, C).
        labels: (B, N) int64, 255 where ignored.

    Returns:
        Means (B * 256, C) at length 1, and their labels (B * 256,), 255 for those of no pixel.
    """
    members = memberships(labels)
    means = F.normalize(class_means(vectors, members), dim=2)
    every = torch.arange(LABELS, device=labels.device).expand(len(labels), LABELS)
    return means.flatten(0, 1), torch.where(members.any(1), every, IGNORED).flatten()
