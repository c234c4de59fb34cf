"""Backbones by name, each with the head and the regularisation that its authors give it."""

from __future__ import annotations

from difflib import get_close_matches
from functools import partial

import timm

from transkd.errors import ConfigError
from transkd.models.backbones.base import Backbone, BackboneEntry
from transkd.models.backbones.lvt import LiteVisionTransformer
from transkd.models.backbones.pyramid import pyramid_backbone
from transkd.models.backbones.timm_network import timm_entry

__all__ = ["Backbone", "BackboneEntry", "available_backbones", "find_backbone", "register_backbone"]

_BACKBONES = {"lvt": BackboneEntry(LiteVisionTransformer, drop_path_rate=0.0)}
for _size in range(6):
    _width = 256 if _size < 2 else 768
    _BACKBONES[f"mit_b{_size}"] = BackboneEntry(partial(pyramid_backbone, f"mit_b{_size}"), segformer_width=_width)
    for _name in (f"pvt_v2_b{_size}", *(["pvt_v2_b2_li"] if _size == 2 else [])):
        _BACKBONES[_name] = BackboneEntry(partial(pyramid_backbone, _name), "semantic_fpn", segformer_width=_width)


def register_backbone(name: str, entry: BackboneEntry) -> None:
    """Let ``create_segmenter`` and configs take a custom backbone.

    Raises:
        ConfigError: there is one of that name already.
    """
    if name in _BACKBONES:
        raise ConfigError(f"there is a backbone '{name}' already; register yours under another name")
    _BACKBONES[name] = entry


def available_backbones() -> list[str]:
    """Return the names of transkd's own backbones, sorted; ``find_backbone`` takes timm's as well."""
    return sorted(_BACKBONES)


def find_backbone(name: str) -> BackboneEntry:
    """Return the entry of the backbone called ``name``.

    Args:
        name: a name of ``available_backbones()``, or of any hierarchical network of timm; either may end in the tag
            of timm's pretrained weights, as in ``"swin_tiny_patch4_window7_224.ms_in1k"``.

    Raises:
        ConfigError: there is no backbone of that name, or timm's is not hierarchical.
    """
    if name in _BACKBONES:
        return _BACKBONES[name]
    if not isinstance(name, str) or not timm.is_model(name):
        raise ConfigError(f"there is no backbone '{name}'; {_closest(str(name))}")
    architecture, _, tag = name.partition(".")
    tagged = timm.list_models(f"{architecture}.*", pretrained=True) if tag else []
    if tag and name not in tagged:
        known = f"known: {', '.join(tagged)}" if tagged else "it has no pretrained weights: leave out the tag"
        raise ConfigError(f"timm has no weights '{name}' of {architecture}; {known}")
    return _BACKBONES[architecture] if architecture in _BACKBONES else timm_entry(name)


def _closest(name: str) -> str:
    """Return the end of a message on an unknown name: the closest of ours, else of timm's, else all of ours."""
    for known in (available_backbones(), timm.list_models()):
        if close := get_close_matches(name, known, n=1, cutoff=0.6):
            return f"did you mean '{close[0]}'? (any hierarchical timm model will do)"
    known = ", ".join(available_backbones())
    return f"known: {known}, any hierarchical timm model, and your own once imported (imports=[MODULE])"
