"""Files that models come in: which kind one is, and pickles read without running anything in them."""

from __future__ import annotations

import pickle
import re
import zipfile
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray

from transkd.errors import WeightsError


class FileKind(Enum):
    """Kinds of files that models come in."""

    SAFETENSORS = "safetensors"
    PICKLE = "pickle"
    ONNX = "onnx"
    TORCH_EXPORT = "torch.export"
    TORCHSCRIPT = "torchscript"
    JSON = "json"


_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_MARKUP = (b"<!doctype html", b"<html", b"<?xml", b"<head")
_ONNX_SECOND_FIELDS = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72)  # of the protobuf, after its version


def file_kind(path: Path) -> FileKind:
    """Return what kind of file ``path`` is, by its content.

    Raises:
        WeightsError: it is missing, empty, truncated, or of no kind that a model comes in.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
    text = head.lstrip().lower()
    if not head:
        raise WeightsError(f"{path} is empty (0 bytes); copy or download it again")
    if head.startswith(_LFS_POINTER):
        raise WeightsError(f"{path} is a Git LFS pointer, which stands for the file; fetch the file: git lfs pull")
    if text.startswith(_MARKUP):
        raise WeightsError(f"{path} is a web page, not weights; download the file itself")
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(path)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") >= 2:
        return FileKind.SAFETENSORS
    if text[:1] in (b"{", b"["):
        return FileKind.JSON
    if len(head) > 2 and head[0] == 0x08 and 1 <= head[1] <= 64 and head[2] in _ONNX_SECOND_FIELDS:
        return FileKind.ONNX
    if len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5:
        return FileKind.PICKLE
    raise _no_weights(path)


def _zip_kind(path: Path) -> FileKind:
    try:
        with zipfile.ZipFile(path) as container:
            names = container.namelist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise WeightsError(f"{path} is truncated or damaged ({error}); copy or download it again") from error
    inside = {name.partition("/")[2] for name in names}
    if "archive_format" in inside or "serialized_exported_program.json" in {*names, *inside}:
        return FileKind.TORCH_EXPORT
    if "constants.pkl" in inside and any(name.startswith("code/") for name in inside):
        return FileKind.TORCHSCRIPT
    if "data.pkl" in inside:
        return FileKind.PICKLE
    raise _no_weights(path)


def _no_weights(path: Path) -> WeightsError:
    return WeightsError(
        f"{path} ({path.stat().st_size} bytes) is no file of weights, or a damaged one: it is neither safetensors nor "
        "a PyTorch file; copy or download it again"
    )


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


def read_pickle(path: Path) -> Any:
    """Return what a file of ``torch.save`` holds, on the CPU; only tensors and plain values are read.

    Files of either format of ``torch.save`` are read. Of the zip format all checksums are verified, so that a
    damaged file never loads as other weights.

    Raises:
        WeightsError: the file is missing, damaged, not of ``torch.save``, or holds objects that would have to run code.
    """
    if (kind := file_kind(path)) is not FileKind.PICKLE:
        raise WeightsError(f"{path} is a file of {kind.value}, not one that torch.save wrote")
    try:
        _verify(path)
        # The open file, since torch.load would take a path's suffix for its format.
        with path.open("rb") as file, torch.serialization.safe_globals(_HARMLESS):
            return torch.load(file, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except Exception as error:
        refused = _REFUSED.search(str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if refused is None:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise WeightsError(f"{path} is truncated or damaged ({reason.strip()}); download it again") from error
        raise WeightsError(
            f"{path} is refused, and nothing of it was executed: besides tensors it holds '{refused[1] or refused[2]}',"
            " which would run code on loading. Where you trust its origin, open it with torch.load(…, "
            "weights_only=False) and save its state dict alone: torch.save(model.state_dict(), …)"
        ) from error


def _verify(path: Path) -> None:
    """Verify the checksums of a zip file; of the older format, that ``torch.save`` wrote it."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as container:
            if (broken := container.testzip()) is not None:
                raise WeightsError(
                    f"{path} is damaged: the checksum of its record '{broken}' is wrong; download it again"
                )
        return
    with path.open("rb") as file:
        if _MAGIC_NUMBER not in file.read(32):
            raise WeightsError(
                f"{path} is refused, and nothing of it was executed: it is a bare Python pickle, not a file that "
                "torch.save wrote; save its state dict with torch.save(state_dict, …)"
            )
