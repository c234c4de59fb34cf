"""Pickled weights (``.pth``, ``.pt``, ``.bin``, ``.ckpt``), read without running anything from them."""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray

from transkd.errors import WeightsError
from transkd.models.file_kinds import FileKind, file_kind

_REFUSED = re.compile(r"GLOBAL ([\w.]+)|<class '([\w.]+)'>")
_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C.to_bytes(10, "little")  # at the start of torch.save's older format
# numpy's scalars and arrays, which training scripts keep among their numbers; they run nothing.
_HARMLESS: list[Any] = [
    np.ndarray,
    np.dtype,
    *{type(np.dtype(code)) for code in "?bhilqBHILQefdSU"},
    *((multiarray.scalar, f"{module}.multiarray.scalar") for module in ("numpy.core", "numpy._core")),
    *((multiarray._reconstruct, f"{module}.multiarray._reconstruct") for module in ("numpy.core", "numpy._core")),
]


def read_pickle(path: str | Path) -> Any:
    """Return what a file of ``torch.save`` holds, on the CPU; only tensors and plain values are taken.

    Files of either format of ``torch.save`` are read. Of the zip format all checksums are verified, so that a
    damaged file never loads as other weights.

    Raises:
        WeightsError: the file is missing, damaged, not of ``torch.save``, or holds objects that would have to run code.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"there is no file {path}")
    if (kind := file_kind(path)) is not FileKind.PICKLE:
        raise WeightsError(f"{path} is a file of {kind.value}, not one that torch.save wrote")
    _verify(path)
    try:
        # The open file, since torch.load would take a path's suffix for its format.
        with path.open("rb") as file, torch.serialization.safe_globals(_HARMLESS):
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(path, error) from error
    except Exception as error:
        raise WeightsError(f"{path} is damaged and cannot be read ({_first_line(error)}); download it again") from error


def _verify(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        _verify_older_format(path)
        return
    try:
        with zipfile.ZipFile(path) as container:
            broken = container.testzip()
    except Exception as error:
        raise WeightsError(f"{path} is truncated or damaged ({_first_line(error)}); download it again") from error
    if broken is not None:
        raise WeightsError(f"{path} is damaged: the checksum of its record '{broken}' is wrong; download it again")


def _verify_older_format(path: Path) -> None:
    with path.open("rb") as file:
        if _MAGIC_NUMBER not in file.read(32):
            raise WeightsError(
                f"{path} is refused, and nothing of it was executed: it is a bare Python pickle, not a file that "
                "torch.save wrote; save its state dict with torch.save(state_dict, …)"
            )


def _refusal(path: Path, error: Exception) -> WeightsError:
    match = _REFUSED.search(str(error))
    if match is None:
        return WeightsError(f"{path} is damaged or no file of torch.save; download it again")
    return WeightsError(
        f"{path} is refused, and nothing of it was executed: besides tensors it holds '{match[1] or match[2]}', which "
        "would run code on loading. Where you trust its origin, open it with torch.load(…, weights_only=False) "
        "and save its state dict alone: torch.save(model.state_dict(), …)"
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip()
