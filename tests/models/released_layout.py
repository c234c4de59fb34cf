"""Names of TransKD's released checkpoints as names of our state dict; every tensor keeps its shape."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

_RULES: tuple[tuple[str, str], ...] = (
    (r"patch_embed1\.", "backbone.patch_embed."),
    (r"patch_embed(\d)\.", "backbone.stages.{stage}.downsample."),
    (r"block(\d)\.(\d+)\.", "backbone.stages.{stage}.blocks.{block}."),
    (r"norm(\d)\.", "backbone.stages.{stage}.norm."),
    (r"linear_c(\d)\.proj\.", "head.linear.{stage}."),
    (r"linear_fuse\.conv\.", "head.fuse."),
    (r"linear_fuse\.bn\.", "head.norm."),
    (r"linear_pred\.", "head.classifier."),
)


def student_key(released_name: str) -> str:
    """``block1.0.norm1.bias``, with or without ``student.`` -> ``backbone.stages.0.blocks.0.norm1.bias``."""
    name = released_name.removeprefix("student.").replace("dwconv.dwconv.", "dwconv.")
    for pattern, ours in _RULES:
        if match := re.match(pattern, name):
            groups = match.groups()
            stage = int(groups[0]) - 1 if groups else 0
            block = groups[1] if len(groups) > 1 else ""
            return ours.format(stage=stage, block=block) + name[match.end() :]
    raise KeyError(released_name)


def released_names(ours: Iterable[str], prefix: str = "") -> dict[str, str]:
    """Our state-dict names -> released names with ``prefix`` ("student." in a student's checkpoint)."""
    return {name: prefix + _released_name(name) for name in ours}


def released_state(shapes: Mapping[str, tuple[int, ...]], prefix: str = "") -> dict[str, Tensor]:
    """A state dict of ours by the rule of the reference numbers: each tensor seeded by its released name."""
    return {
        ours: rule_tensor(released, tuple(shapes[ours])) for ours, released in released_names(shapes, prefix).items()
    }


def rule_tensor(name: str, shape: tuple[int, ...]) -> Tensor:
    """The tensor that the rule gives for a released name and its shape."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    n = rng.standard_normal(shape)
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if name.endswith("running_var"):
        values = 0.5 + rng.random(shape)
    elif name.endswith("running_mean"):
        values = 0.1 * n
    elif len(shape) == 1 and name.endswith(".weight"):
        values = 1 + 0.1 * n
    elif len(shape) <= 1:
        mixed = any(part in name for part in ("fuse_weights", "atten_weight", "conv_weight"))
        values = 0.3 + 0.1 * np.abs(n) if mixed else 0.05 * n
    else:
        values = n / np.sqrt(np.prod(shape[1:]))
    return torch.as_tensor(np.asarray(values, dtype=np.float32))


def _released_name(ours: str) -> str:
    renamed = ours.replace("dwconv.", "dwconv.dwconv.").replace("backbone.patch_embed.", "patch_embed1.")
    renamed = re.sub(r"backbone\.stages\.(\d)\.downsample", lambda m: f"patch_embed{int(m[1]) + 1}", renamed)
    renamed = re.sub(r"backbone\.stages\.(\d)\.blocks", lambda m: f"block{int(m[1]) + 1}", renamed)
    renamed = re.sub(r"backbone\.stages\.(\d)\.norm", lambda m: f"norm{int(m[1]) + 1}", renamed)
    renamed = re.sub(r"head\.linear\.(\d)", lambda m: f"linear_c{int(m[1]) + 1}.proj", renamed)
    for old, new in (("fuse", "linear_fuse.conv"), ("norm", "linear_fuse.bn"), ("classifier", "linear_pred")):
        renamed = renamed.replace(f"head.{old}.", f"{new}.")
    return renamed
