"""Backbones by name, each with the head and the regularisation that its authors give it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial

import timm

from transkd.errors import ConfigError
from transkd.models.backbones.base import Backbone
from transkd.models.backbones.hierarchy import timm_backbone
from transkd.models.backbones.lvt import LiteVisionTransformer
from transkd.models.backbones.pyramid import pyramid_backbone
from transkd.models.backbones.timm_structure import timm_hierarchy


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


LARGE = 20_000_000  # parameters; MiT-B1 has 13 million, MiT-B2 24


def _width(size: int) -> int:
    return 256 if size < 2 else 768


_BACKBONES = {
    **{
        f"mit_b{size}": BackboneEntry(partial(pyramid_backbone, f"mit_b{size}"), segformer_width=_width(size))
        for size in range(6)
    },
    **{
        f"pvt_v2_{size}": BackboneEntry(
            partial(pyramid_backbone, f"pvt_v2_{size}"), head="semantic_fpn", segformer_width=_width(int(size[1]))
        )
        for size in ("b0", "b1", "b2", "b2_li", "b3", "b4", "b5")
    },
    "lvt": BackboneEntry(LiteVisionTransformer, drop_path_rate=0.0),
}


def register_backbone(name: str, entry: BackboneEntry) -> None:
    """Let ``create_segmenter`` and configs take a backbone of one's own.

    Raises:
        ConfigError: there is one of that name already, or the entry is none.
    """
    if not isinstance(name, str) or not isinstance(entry, BackboneEntry):
        raise ConfigError(f"a backbone is registered as a name and a BackboneEntry, not {name!r} and {entry!r}")
    if name in _BACKBONES:
        raise ConfigError(f"there is a backbone '{name}' already; register yours under another name")
    _BACKBONES[name] = entry


def available_backbones() -> list[str]:
    """Return the names of the backbones that transkd has of its own, sorted; ``find_backbone`` takes timm's as well."""
    return sorted(_BACKBONES)


def find_backbone(name: str) -> BackboneEntry:
    """Return the entry of the backbone called ``name``.

    Args:
        name: a name of ``available_backbones()``, or of any hierarchical network of timm; either may end in the tag
            of timm's pretrained weights, as in ``"swin_tiny_patch4_window7_224.ms_in1k"``.

    Raises:
        ConfigError: there is no backbone of that name, or timm's is not hierarchical.
    """
    if not isinstance(name, str):
        raise ConfigError(f"a backbone is a name, not {name!r}; known: {', '.join(available_backbones())}")
    if name in _BACKBONES:
        return _BACKBONES[name]
    if not timm.is_model(name):
        raise ConfigError(f"there is no backbone '{name}'; {_closest(name)}")
    architecture, _, tag = name.partition(".")
    if tag:
        _check_tag(name, architecture)
    return _BACKBONES[architecture] if architecture in _BACKBONES else _timm_entry(name)


def _timm_entry(name: str) -> BackboneEntry:
    hierarchy = timm_hierarchy(name)
    return BackboneEntry(
        partial(timm_backbone, name),
        segformer_width=256 if hierarchy.parameters < LARGE else 768,
        drop_path_rate=hierarchy.drop_path_rate,
    )


def _check_tag(name: str, architecture: str) -> None:
    tagged = timm.list_models(f"{architecture}.*", pretrained=True)
    if name not in tagged:
        known = f"known: {', '.join(tagged)}" if tagged else "it has no pretrained weights: leave out the tag"
        raise ConfigError(f"timm has no weights '{name}' of {architecture}; {known}")


def _closest(name: str) -> str:
    """Return the end of a message on an unknown name: the closest of ours, else of timm's, else all of ours."""
    for known in (available_backbones(), timm.list_models()):
        if close := get_close_matches(name, known, n=1, cutoff=0.6):
            return f"did you mean '{close[0]}'? (any hierarchical timm model will do)"
    known = ", ".join(available_backbones())
    return f"known: {known}, any hierarchical timm model, and your own once imported (imports=[MODULE])"
