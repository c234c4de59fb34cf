"""What identifies a model in a result: a hash of all that its predictions depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

NO_MATTER = ("drop_path_rate", "dropout", "palette")
"""What of a config predictions do not depend on: what only training uses, and colours."""


def module_digest(module: nn.Module) -> str:
    """Return the SHA-256 of a module: two that predict differently have different ones, wherever they were read from.

    It takes in the names, types, shapes and bytes of all parameters and buffers, those that are not saved among the
    weights too (a segmenter's mean and standard deviation), and the ``config`` of a module that has one (the
    classes' names in order, the epsilon of its norms), less what only training and pictures use.
    """
    digest = hashlib.sha256()
    tensors = {**module.state_dict(), **dict(module.named_buffers())}
    for name, tensor in sorted(tensors.items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.flatten().view(torch.uint8).numpy().tobytes())
    config = getattr(module, "config", None)
    if isinstance(config, Mapping):
        kept: dict[str, Any] = {key: value for key, value in config.items() if key not in NO_MATTER}
        digest.update(json.dumps(kept, sort_keys=True).encode())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
