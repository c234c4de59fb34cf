"""Files of weights: what kind a file is, the state dict in it, and how one differs from what a network needs."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy._core import multiarray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from transkd.errors import WeightsError, first_few, first_line
from transkd.files import replacing

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CONFIG_METADATA = "transkd"
"""The key in a safetensors file's metadata that holds the segmenter's config."""

FileKind = Literal["safetensors", "pickle", "json", "onnx", "torch.export", "torchscript"]

WRAPPERS = (
    "state_dict_ema",
    "model_ema",
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "weights",
    "params",
)
"""The keys under which training scripts save a state dict, in the order in which they are tried: averages first."""

PREFIXES = ("module.", "_orig_mod.", "model.")
"""What data parallelism, averaging, compilation and training scripts put before every name."""

_NOT_THE_FILE = {
    b"version https://git-lfs.github.com/spec/": "a Git LFS pointer, which stands for the file; run: git lfs pull",
    **dict.fromkeys((b"<!doctype html", b"<html", b"<?xml"), "a web page, not weights; download the file itself"),
}
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


def file_kind(path: Path) -> FileKind:
    """Return what kind of file ``path`` is, by its content.

    Raises:
        WeightsError: it is missing, empty, truncated, or of no kind that a model comes in.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
        if head.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(path) as archive:
                inside = {name.partition("/")[2] for name in archive.namelist()}
            marks = {"archive_format": "torch.export", "constants.pkl": "torchscript", "data.pkl": "pickle"}
            kind: Any = next((kind for mark, kind in marks.items() if mark in inside), None)
        else:
            firsts = {b"\x08": "onnx", b"\x80": "pickle", b"{": "json", b"[": "json"}
            kind = "safetensors" if head[6:9] == b"\0\0{" else firsts.get(head.lstrip()[:1])
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise WeightsError(f"{path} is truncated or damaged ({error}); copy or download it again") from error
    if kind is not None:
        return kind  # type: ignore[no-any-return]
    for start, what in _NOT_THE_FILE.items():
        if head.lstrip().lower().startswith(start):
            raise WeightsError(f"{path} is {what}")
    raise WeightsError(
        f"{path} ({path.stat().st_size} bytes) is neither safetensors nor a PyTorch file; copy or download it again"
    )


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Return the state dict of a file, without the wrappers and prefixes of training scripts.

    Args:
        path: a safetensors file, one of ``torch.save`` with a state dict or with a checkpoint around one
            (:data:`WRAPPERS`), or the index of a sharded model, whose files lie beside it.

    Raises:
        WeightsError: it is missing, damaged, would run code, or holds no state dict or several.
    """
    return state_of(read_content(Path(path)), str(path))


def read_content(path: Path) -> Any:
    """Return all that a file of weights holds, on the CPU: a state dict, or a checkpoint around one.

    Of pickles, tensors and plain values alone are read. The checksums of the zip format are verified, so that a damaged
    file never loads as other weights.

    Raises:
        WeightsError: it is missing, damaged, of another kind, or would run code.
    """
    kind = file_kind(path)
    if kind == "json":
        return _read_shards(path)
    if kind not in ("safetensors", "pickle"):
        raise WeightsError(
            f"{path} is an exported model ({kind}), which has no weights to load: transkd.load_model runs ONNX files "
            "and torch.export programs; to train or distil, give the weights that it was exported from"
        )
    try:
        return load_file(path) if kind == "safetensors" else _read_pickle(path)
    except WeightsError:
        raise
    except Exception as error:  # of safetensors, zipfile or the unpickler
        raise WeightsError(
            f"{path} ({path.stat().st_size} bytes) is truncated or damaged ({first_line(error)}); "
            "copy or download it again"
        ) from error


def _read_pickle(path: Path) -> Any:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if (broken := archive.testzip()) is not None:
                raise ValueError(f"the checksum of its record '{broken}' is wrong")
    else:
        with path.open("rb") as file:
            if _MAGIC_NUMBER not in file.read(32):
                raise WeightsError(
                    f"{path} is refused, and nothing of it was executed: it is a bare Python pickle, not a file that "
                    "torch.save wrote; save its state dict with torch.save(state_dict, …)"
                )
    try:
        # The open file, since torch.load would take a path's suffix for its format.
        with path.open("rb") as file, torch.serialization.safe_globals(_HARMLESS):
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if (refused := _REFUSED.search(str(error))) is None:
            raise
        raise WeightsError(
            f"{path} is refused, and nothing of it was executed: besides tensors it holds '{refused[1] or refused[2]}',"
            " which would run code on loading. Where you trust its origin, open it with torch.load(…, "
            "weights_only=False) and save its state dict alone: torch.save(model.state_dict(), …)"
        ) from error


def shard_names(index: Path) -> list[str]:
    """Return the names of the files that the index of a sharded model lists, sorted.

    Raises:
        WeightsError: it is no such index, or lists a file outside of its folder.
    """
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict):
        raise WeightsError(f"{index} is a JSON file, not weights; give the folder that it lies in")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if Path(name).name != name:
            raise WeightsError(f"{index} lists a file outside of its folder ({name}), which is not read")
    return names


def _read_shards(index: Path) -> dict[str, Tensor]:
    shards = [index.parent / name for name in shard_names(index)]
    if missing := [shard.name for shard in shards if not shard.is_file()]:
        raise WeightsError(f"{index} lists {missing[0]}, which is not beside it; download the rest of the folder")
    return {name: tensor for shard in shards for name, tensor in read_content(shard).items()}


def state_of(content: Any, where: str) -> dict[str, Tensor]:
    """Return the state dict in what a file holds, without the prefixes that all its names have in common.

    Raises:
        WeightsError: it holds none, or several and none under a key of :data:`WRAPPERS`.
    """
    if not isinstance(content, Mapping):
        raise WeightsError(f"{where} holds a {type(content).__name__}, not a state dict; save model.state_dict()")
    if not _is_state(content):
        found = [key for key, value in content.items() if _is_state(value)]
        wrapper = next((key for key in WRAPPERS if key in found), found[0] if len(found) == 1 else None)
        if wrapper is None:
            held = f"several state dicts ({first_few(found)})" if found else "no state dict"
            keys = first_few(content) or "none"
            raise WeightsError(f"{where} holds {held}; its keys are {keys}; save model.state_dict() alone")
        content = content[wrapper]
    state = {name: tensor for name, tensor in content.items() if name != "n_averaged"}
    while prefix := next((p for p in PREFIXES if state and all(name.startswith(p) for name in state)), None):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items())
    )


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds, {} where it holds another value.

    Raises:
        WeightsError: it is not JSON.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} is not valid JSON ({error}); copy or download it again") from error
    return content if isinstance(content, dict) else {}


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the state dict of ``model`` to a safetensors file, under the names it has without ``torch.compile``.

    A segmenter's ``config`` goes into the file's metadata, so that the file alone says what it is of.
    """
    config = getattr(model, "config", None)
    metadata = {"format": "pt"} | ({CONFIG_METADATA: json.dumps(config)} if isinstance(config, dict) else {})
    with replacing(path) as partial:
        save_file(plain_state(model), partial, metadata=metadata)


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the state dict of ``model`` as it is saved: contiguous, on the CPU, without ``torch.compile``'s names."""
    return {
        name.replace("_orig_mod.", ""): tensor.detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
    }


def saved_config(path: Path) -> dict[str, Any]:
    """Return the segmenter's config in a safetensors file's metadata, {} where there is none."""
    if file_kind(path) != "safetensors":
        return {}
    with safe_open(path, framework="pt") as file:
        config = json.loads((file.metadata() or {}).get(CONFIG_METADATA, "{}"))
    return config if isinstance(config, dict) else {}


def tensor_differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Return how the names and shapes of ``found`` differ, by the first three of each kind; "" where they do not."""
    reshaped = [
        f"{name} {list(found[name].shape)} instead of {list(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    kinds = {
        "of another shape": reshaped,
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for name in found if name not in expected],
    }
    return "; ".join(f"{len(names)} tensors {kind}: {first_few(names)}" for kind, names in kinds.items() if names)
