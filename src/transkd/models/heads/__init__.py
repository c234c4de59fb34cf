"""Decode heads by name: from a backbone's feature maps to class logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from transkd.errors import ConfigError, did_you_mean
from transkd.models.heads.segformer import SegFormerHead
from transkd.models.heads.semantic_fpn import SemanticFPNHead

HeadFactory = Callable[[Sequence[int], int, int, float], nn.Module]


@dataclass(frozen=True)
class HeadEntry:
    """How a named head is made.

    Attributes:
        build: makes the head from channels, number of classes, width and dropout.
        width: its width where neither the user nor the backbone names one.
    """

    build: HeadFactory
    width: int


_HEADS: dict[str, HeadEntry] = {
    "segformer": HeadEntry(SegFormerHead, 256),
    "semantic_fpn": HeadEntry(SemanticFPNHead, 128),
}


def available_heads() -> list[str]:
    """Return the names of the decode heads, sorted."""
    return sorted(_HEADS)


def find_head(name: str) -> HeadEntry:
    """Return the entry of the head called ``name``.

    Raises:
        ConfigError: there is no head of that name.
    """
    if name not in _HEADS:
        raise ConfigError(f"there is no head '{name}'; {did_you_mean(name, _HEADS)}")
    return _HEADS[name]
