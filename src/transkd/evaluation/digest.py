"""What identifies a model in a result: a hash of its weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import nn


def module_digest(module: nn.Module) -> str:
    """Return the SHA-256 of the names, types, shapes and bytes of a module's tensors, wherever they were read from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
