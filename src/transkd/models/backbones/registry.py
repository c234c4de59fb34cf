"""Backbones by name, each with the head and the regularisation that its authors give it."""

from __future__ import annotations

from difflib import get_close_matches
from functools import partial

import timm

from transkd.errors import ConfigError
from transkd.models.backbones.base import BackboneEntry
from transkd.models.backbones.lvt import LiteVisionTransformer
from transkd.models.backbones.pyramid import pyramid_backbone
from transkd.models.backbones.timm_network import timm_entry

_BACKBONES = {"lvt": BackboneEntry(LiteVisionTransformer, drop_path_rate=0.0)}
for _size in range(6):
    _width = 256 if _size < 2 else 768
    _BACKBONES[f"mit_b{_size}"] = BackboneEntry(partial(pyramid_backbone, f"mit_b{_size}"), segformer_width=_width)
    for _name in (f"pvt_v2_b{_size}", *(["pvt_v2_b2_li"] if _size == 2 else [])):
        _BACKBONES[_name] = BackboneEntry(partial(pyramid_backbone, _name), "semantic_fpn", segformer_width=_width)


def register_backbone(name: str, entry: BackboneEntry) -> None:
    """Let ``create_segmenter`` and configs take a custom backbone.

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
    return _BACKBONES[architecture] if architecture in _BACKBONES else timm_entry(name)


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
