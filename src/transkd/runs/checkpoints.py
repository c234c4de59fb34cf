"""Checkpoints that survive a crash, are verified when they are read, and never run code."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from transkd.errors import CheckpointError, first_line
from transkd.files import replacing

REMEDY = "resume from another checkpoint, or start a new run with resume=none in another folder"


class SafeCheckpointIO(TorchCheckpointIO):
    """Write checkpoints by :func:`write_checkpoint` and load them by :func:`read_checkpoint`.

    Args:
        loaded: a checkpoint that was read already, by its path: it is handed out instead of being read again, once.
    """

    def __init__(self, loaded: Mapping[Path, dict[str, Any]]) -> None:
        self._loaded = dict(loaded)

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a checkpoint of plain Python values and tensors."""
        del storage_options
        write_checkpoint(checkpoint, Path(path))

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint."""
        del map_location, weights_only
        return self._loaded.pop(Path(path), None) or read_checkpoint(Path(path))


def write_checkpoint(checkpoint: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint so that ``path`` is at any moment, also after a crash, the old file or the whole new one.

    Raises:
        CheckpointError: where the disk is full or the folder cannot be written; the old file stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, durable=True) as partial, partial.open("wb") as file:
            torch.save(dict(checkpoint), file)
    except (OSError, RuntimeError) as error:
        kept = "; the one before it is unharmed" if path.exists() else ""
        raise CheckpointError(f"the checkpoint {path} could not be written: {_reason(error)}{kept}") from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU, after verifying the CRC-32 of every record and running no code from it.

    Raises:
        CheckpointError: if the file is missing, truncated, damaged, or holds more than plain values.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}; {REMEDY}")
    try:
        with zipfile.ZipFile(path) as container:
            if (record := container.testzip()) is not None:
                raise ValueError(f"the checksum of its record '{record}' is wrong")
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is refused: it holds objects that would run code on loading, which no checkpoint of transkd "
            f"does ({first_line(error)}); {REMEDY}"
        ) from error
    except Exception as error:  # zip and torch raise many kinds for a file that was cut or changed
        raise CheckpointError(
            f"{path} is truncated, damaged or not a checkpoint ({first_line(error)}); {REMEDY}"
        ) from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f"{path} holds a {type(checkpoint).__name__}, not a training checkpoint; {REMEDY}")
    return checkpoint


def _reason(error: BaseException) -> str:
    """Return what the operating system said, where torch's writer failed because of that and says something else."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError):
            return str(found)
        found = found.__context__
    return str(error)
