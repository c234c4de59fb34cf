"""Backbones by name, each with the head and the regularisation that its authors give it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from transkd.errors import ConfigError, did_you_mean
from transkd.models.backbones.base import Backbone
from transkd.models.backbones.pyramid import pyramid_backbone


@dataclass(frozen=True)
class BackboneEntry:
    """How a named backbone is made, and what goes with it where the user names nothing else.

    Attributes:
        build: makes the backbone, randomly initialised, from a stochastic-depth rate.
        head: name of its decode head.
        segformer_width: channels of a SegFormer head on it.
        drop_path_rate: stochastic depth of its deepest block.
    """

    build: Callable[[float], Backbone]
    head: str = "segformer"
    segformer_width: int = 256
    drop_path_rate: float = 0.1


def _width(size: int) -> int:
    return 256 if size < 2 else 768


_BACKBONES = {
    **{
        f"mit_b{size}": BackboneEntry(partial(pyramid_backbone, f"mit_b{size}"), segformer_width=_width(size))
        for size in range(6)
    },
    **{
        f"pvt_v2_b{size}": BackboneEntry(partial(pyramid_backbone, f"pvt_v2_b{size}"), segformer_width=_width(size))
        for size in range(6)
    },
}


def register_backbone(name: str, entry: BackboneEntry) -> None:
    """Let ``create_segmenter`` and configs take a backbone of one's own.

    Raises:
        ConfigError: there is one of that name already.
    """
    if name in _BACKBONES:
        raise ConfigError(f"there is a backbone '{name}' already; register yours under another name")
    _BACKBONES[name] = entry


def available_backbones() -> list[str]:
    """Return the names of the backbones that ``create_segmenter`` takes, sorted."""
    return sorted(_BACKBONES)


def find_backbone(name: str) -> BackboneEntry:
    """Return the entry of the backbone called ``name``.

    Raises:
        ConfigError: there is no backbone of that name.
    """
    if name not in _BACKBONES:
        raise ConfigError(f"there is no backbone '{name}'; {did_you_mean(name, _BACKBONES)}")
    return _BACKBONES[name]
