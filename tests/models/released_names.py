"""State dicts as TransKD released them, filled by the rule that the reference numbers come from."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from transkd.errors import WeightsError
from transkd.models import Segmenter, create_segmenter, load_segmenter
from transkd.models.formats.names import RELEASED, TensorNames

Shapes = Mapping[str, tuple[int, ...]]


def names_of(backbone: str) -> TensorNames:
    return next(names for family, names in RELEASED.items() if backbone.startswith(family))


def released_shapes(backbone: str, prefix: str = "", num_classes: int = 20) -> dict[str, tuple[int, ...]]:
    """Released name -> shape of a segmenter's tensors; prefix is "student." in a student's checkpoint."""
    with torch.device("meta"):
        state = create_segmenter(backbone, num_classes).state_dict()
    return {prefix + names_of(backbone).published(name): tuple(tensor.shape) for name, tensor in state.items()}


def filled(shapes: Shapes) -> dict[str, Tensor]:
    """A released state dict by the rule."""
    return {name: rule_tensor(name, shape) for name, shape in shapes.items()}


def fingerprint(shapes: Shapes) -> tuple[int, str]:
    """Number of tensors, and start of the sha256 of the sorted lines "name [shape]"."""
    lines = sorted(f"{name} {list(shape)}" for name, shape in shapes.items())
    return len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


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


def nvlabs_state(segmenter: Segmenter) -> dict[str, Tensor]:
    """A MiT segmenter's tensors by NVlabs' names: those of TransKD's release, in mmsegmentation's two parts."""
    published = {}
    for ours, tensor in segmenter.state_dict().items():
        name = RELEASED["mit"].published(ours)
        published[("decode_head." if name.startswith("linear_") else "backbone.") + name] = tensor.contiguous()
    unused = {"weight": torch.zeros(3, 128, 1, 1), "bias": torch.zeros(3)}
    return published | {f"decode_head.conv_seg.{name}": tensor for name, tensor in unused.items()}


def same(loaded: Segmenter, expected: Segmenter) -> bool:
    state, wanted = loaded.state_dict(), expected.state_dict()
    return state.keys() == wanted.keys() and all(torch.equal(state[name], wanted[name]) for name in wanted)


def message(source: Path | str, load: Callable[..., object] = load_segmenter, **expected: object) -> str:
    """The one line that loading fails with, which names the source."""
    with pytest.raises(WeightsError) as caught:
        load(source, **expected)
    text = str(caught.value)
    assert "\n" not in text
    assert str(source) in text
    return text
