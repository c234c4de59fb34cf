"""Checkpoints that survive a crash, say when they are damaged, and never run code."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from transkd.errors import CheckpointError
from transkd.files import replacing

WHAT_TO_DO = "resume from another checkpoint, or start anew with resume=none in another folder"


class SafeCheckpointIO(TorchCheckpointIO):
    """Write checkpoints atomically; load them with ``weights_only`` and only if every byte is as written.

    A checkpoint is written beside its target, flushed to the disk and moved over it, so a crash at any moment
    leaves the old file or the new one. The zip container's CRC-32 of every record is verified on loading.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write ``checkpoint``, which must hold plain Python values and tensors only."""
        del storage_options
        write_checkpoint(checkpoint, Path(path))

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint; see :func:`read_checkpoint`."""
        del weights_only
        return read_checkpoint(Path(path), map_location=map_location or "cpu")


def write_checkpoint(checkpoint: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint so that ``path`` is at any moment the old file or the whole new one.

    Raises:
        CheckpointError: where the disk is full or the folder cannot be written; the old file stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, durable=True) as partial:
            torch.save(dict(checkpoint), partial)
    except (OSError, RuntimeError) as error:
        kept = "; the one before it is unharmed" if path.exists() else ""
        raise CheckpointError(f"the checkpoint {path} could not be written: {_reason(error)}{kept}") from error


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint after verifying it, running no code from it.

    Raises:
        CheckpointError: if the file is missing, empty, truncated, damaged, or holds more than plain values.
    """
    _verify(path)
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is refused: it holds objects that would run code on loading, which no checkpoint of transkd "
            f"does ({_first_line(error)}); {WHAT_TO_DO}"
        ) from error
    except Exception as error:
        raise CheckpointError(f"{path} is damaged and cannot be read ({_first_line(error)}); {WHAT_TO_DO}") from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f"{path} holds a {type(checkpoint).__name__}, not a training checkpoint; {WHAT_TO_DO}")
    return checkpoint


def _verify(path: Path) -> None:
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}; {WHAT_TO_DO}")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path} is empty; {WHAT_TO_DO}")
    try:
        with zipfile.ZipFile(path) as container:
            broken = container.testzip()
    except Exception as error:
        raise CheckpointError(
            f"{path} is truncated, damaged or not a checkpoint ({_first_line(error)}); {WHAT_TO_DO}"
        ) from error
    if broken is not None:
        raise CheckpointError(f"{path} is damaged: the checksum of its record '{broken}' is wrong; {WHAT_TO_DO}")


def _reason(error: BaseException) -> str:
    """Return what the operating system said, where torch's writer failed because of that and says something else."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError):
            return str(found)
        found = found.__context__
    return str(error)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip()
