"""Decode heads by name: from a backbone's feature maps to class logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from transkd.errors import ConfigError, did_you_mean
from transkd.models.heads.segformer import SegFormerHead
from transkd.models.heads.semantic_fpn import SemanticFPNHead

__all__ = ["HeadEntry", "SegFormerHead", "SemanticFPNHead", "available_heads", "find_head", "register_head"]


@dataclass(frozen=True)
class HeadEntry:
    """How a named head is made.

    Attributes:
        build: makes the head from channels, number of classes, width and dropout.
        width: its width where neither the user nor the backbone names one.
    """

    build: Callable[[Sequence[int], int, int, float], nn.Module]
    width: int


_HEADS = {"segformer": HeadEntry(SegFormerHead, 256), "semantic_fpn": HeadEntry(SemanticFPNHead, 128)}


def register_head(name: str, entry: HeadEntry) -> None:
    """Let ``create_segmenter`` and configs take a custom decode head, on any backbone.

    Args:
        name: what ``head=`` calls it.
        entry: how it is made. What it makes takes the feature maps (B, C_i, H_i, W_i) of every stage, shallowest first,
            and returns class logits (B, K, H_1, W_1).

    Raises:
        ConfigError: there is one of that name already.
    """
    if name in _HEADS:
        raise ConfigError(f"there is a head '{name}' already; register yours under another name")
    _HEADS[name] = entry


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
