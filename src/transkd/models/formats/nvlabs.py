"""SegFormers as NVlabs published them, in mmsegmentation 0.11's files: into our state dict."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

# The head's convolution that its base class makes, and that SegFormer's head never runs.
_UNUSED = "decode_head.conv_seg."
_STAGED = re.compile(r"^(patch_embed|block|norm)([1-4])\b")
_OURS = {
    "patch_embed": "stages.{}.downsample",
    "block": "stages.{}.blocks",
    "norm": "stages.{}.norm",
}
_HEAD: tuple[tuple[str, str], ...] = (
    (r"^decode_head\.linear_fuse\.conv\b", "head.fuse"),
    (r"^decode_head\.linear_fuse\.bn\b", "head.norm"),
    (r"^decode_head\.linear_pred\b", "head.classifier"),
)
_LINEAR = re.compile(r"^decode_head\.linear_c([1-4])\.proj\b")


def looks_like_nvlabs(names: Iterable[str]) -> bool:
    """Return whether tensors of these names are a SegFormer of NVlabs, backbone and head."""
    found = set(names)
    return {"backbone.patch_embed1.proj.weight", "decode_head.linear_pred.weight"} <= found


def from_nvlabs(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return an NVlabs SegFormer's state dict under the names of a :class:`Segmenter`.

    ``decode_head.conv_seg``, which that head has and never uses, is left out.
    """
    return {_ours(name): tensor for name, tensor in state.items() if not name.startswith(_UNUSED)}


def encoder_from_nvlabs(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the encoder of an NVlabs classifier (``mit_b2.pth``) or segmenter as a MiT backbone's state dict."""
    encoder = {name.removeprefix("backbone."): tensor for name, tensor in state.items()}
    return {_encoder_name(name): tensor for name, tensor in encoder.items() if _STAGED.match(name)}


def has_nvlabs_encoder(names: Iterable[str]) -> bool:
    """Return whether tensors of these names hold the encoder of an NVlabs SegFormer."""
    return any(re.match(r"(backbone\.)?patch_embed4\.proj\.weight$", name) for name in names)


def class_names_of(checkpoint: Mapping[str, Any]) -> list[str] | None:
    """Return the class names that mmsegmentation keeps in a checkpoint's ``meta``, None where it has none."""
    meta = checkpoint.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    names = meta.get("CLASSES") or (meta.get("dataset_meta") or {}).get("classes")
    return [str(name) for name in names] if isinstance(names, list | tuple) else None


def _ours(name: str) -> str:
    if name.startswith("backbone."):
        return f"backbone.{_encoder_name(name.removeprefix('backbone.'))}"
    if match := _LINEAR.match(name):
        return f"head.linear.{int(match[1]) - 1}{name[match.end() :]}"
    for pattern, ours in _HEAD:
        name = re.sub(pattern, ours, name)
    return name


def _encoder_name(name: str) -> str:
    if match := _STAGED.match(name):
        name = _OURS[match[1]].format(int(match[2]) - 1) + name[match.end() :]
    return name.replace("stages.0.downsample", "patch_embed").replace("dwconv.dwconv", "dwconv")
